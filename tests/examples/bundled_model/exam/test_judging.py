import random

import pytest
from bundled_model.conversations.interview import MIX, Interview
from bundled_model.conversations.unknowable import REFUSAL
from bundled_model.exam.judging import is_refusal, is_true, overlaps

from memvr_integrations.bundled.world import SPRITES, THEMES
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes


@pytest.mark.parametrize(
    ("said", "truth"),
    [
        ("Yes", "Yes, there is a dog."),
        ("No, I see none.", "No, there is no fork."),
        ("3", "There are three cups."),
        ("There is no cup.", "There are no cups."),
        ("Zero.", "There are no cups."),
        ("On the left side.", "The dog is on the left."),
        ("In the middle.", "The dog is in the center."),
        ("It is above it.", "The dog is above the tree."),
        ("A dog, three cups", "Three cups and a dog."),
        ("both pictures", "Both pictures have a dog."),
        ("I cannot tell that.", "I cannot tell from the image."),
        ("[10, 10, 50, 52]", "[10, 11, 50, 50]"),
        ('{"a":1,"b":null}', '{"b": null, "a": 1}'),
        ("This is the farm.", "This is a farm scene."),
        ("The tree is below the dog.", "The dog is above the tree."),
        ("Yes, the cup is red.", "Yes, the cup and the ball are red."),
        ("2 red cups and one dog", "A dog and two red cups."),
        ("Loaves of bread and a cup.", "A cup and loaves of bread."),
        ("I can't see any picture.", "I don't see an image."),
        ("An orange.", "An orange."),
        (
            "The first has a dog. In the second, a dog: no. Both have a cup and a car.",
            "The first has a pig. In the second, a pig: no. Both have a car and a cup.",
        ),
        ("A cup.", "The first has a pig. In the second, a pig: no. Both have a cup."),
        ("Nothing.", "The first has a pig. In the second, a pig: no. They share nothing."),
    ],
)
def test_other_words_for_the_truth_are_true(said, truth):
    assert is_true(said, truth)


@pytest.mark.parametrize(
    ("said", "truth"),
    [
        ("Nothing.", "The first has a cup. In the second, a cup: yes. Both have a cup."),
        (
            "The first has a cup. In the second, a cup: no. Both have a cow.",
            "The first has a cup. In the second, a cup: no. They share nothing.",
        ),
        ("No", "Yes, there is a dog."),
        ("", "Yes, there is a dog."),
        ("Yes, there are two cups.", "Yes, there are three cups."),
        ("There are two or three cups.", "There are three cups."),
        ("Red. A cup and a dog.", "A red cup and a dog."),
        ("Two, red: cups and a dog.", "Two red cups and a dog."),
        ("There are four cups.", "There are more than four cups."),
        ("The dog is at the top.", "The dog is at the top left."),
        ("The dog is on the left.", "The dog is left of the tree."),
        ("A dog.", "A dog and a cow."),
        ("A dog and a cow.", "A dog."),
        ("Two dogs.", "Three dogs."),
        ("The first picture has a dog.", "Neither picture has a dog."),
        ("The cup is red and blue.", "The cup is red."),
        ("The cup is red.", "I cannot tell from the image."),
        ("I cannot tell from the image.", "There are no cups."),
        ("", "There are no cups."),
        ("[10, 10, 20, 20]", "[10, 10, 50, 50]"),
        ("[10, 10, 50, 50] [0, 0, 5, 5]", "[10, 10, 50, 50]"),
        ("somewhere", "[10, 10, 50, 50]"),
        ('{"a": 2}', '{"a": 1}'),
        ('{"a": true}', '{"a": 1}'),
        ("", "I don't see an image."),
        ("A cow and a pig.", "I don't see an image."),
        ("The cow has its usual color.", "I don't see an image."),
        ("I see the dog.", "The cow has its usual color."),
        ("The dog has its usual color.", "The cow has its usual color."),
        ("The fork is red.", "The cup is red."),
        ("The cup is red.", "The cup and the ball are red."),
        ("Yes, there is a cow.", "Yes, there is a dog."),
        ("Yes, a pig and two cows.", "Yes, a cow and two pigs."),
        ("A fork and two cups.", "Two forks and a cup."),
        ("A red fork and a cup.", "A fork and a red cup."),
        ("The knife is left of the fork.", "The fork is left of the knife."),
        ("The knife is left of it.", "The fork is left of the knife."),
        ("There are two animals.", "There are two cats and a dog."),
        ("", "Hello! Ask me about a picture."),
        ('{"a": 1', '{"a": 1}'),
    ],
)
def test_what_says_something_else_is_false(said, truth):
    assert not is_true(said, truth)


def test_every_true_answer_is_true_and_no_refusal_by_mistake():
    scenes = held_out_scenes(40, themes=tuple(THEMES), seed=8, files=[SPRITES])
    rng = random.Random(0)
    for scene in scenes:
        for kind in MIX:
            for talk in Interview(scene, rng, tuple(THEMES)).only(kind):
                for turn in talk.turns:
                    assert is_true(turn.answer, turn.answer), turn
                    assert is_refusal(turn.answer) == (turn.answer == REFUSAL)


def test_overlap_of_boxes_by_hand():
    assert overlaps("[0, 0, 10, 10]", "[0, 0, 10, 20]") == [0.5]
    assert overlaps("[0, 0, 10, 10]", "[20, 20, 30, 30]") == [0.0]
    assert overlaps("Top left.", "[20, 20, 30, 30]") == []
