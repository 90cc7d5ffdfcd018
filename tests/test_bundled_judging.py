import random

import pytest

from memvr_integrations.bundled.art import SPRITES
from memvr_integrations.bundled.interview import MIX, Interview
from memvr_integrations.bundled.judging import is_refusal, is_true, overlaps
from memvr_integrations.bundled.measure import held_out_scenes
from memvr_integrations.bundled.unknowable import REFUSAL
from memvr_integrations.bundled.words import THEMES


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
    ],
)
def test_other_words_for_the_truth_are_true(said, truth):
    assert is_true(said, truth)


@pytest.mark.parametrize(
    ("said", "truth"),
    [
        ("No", "Yes, there is a dog."),
        ("", "Yes, there is a dog."),
        ("Yes, there are two cups.", "Yes, there are three cups."),
        ("There are two or three cups.", "There are three cups."),
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
