import pytest

from memvr_integrations.evaluate.benchmarks.scoring.coco_words import GROUPS, mentions
from memvr_integrations.grounding.nouns import plural


def test_there_are_eighty_categories_and_no_word_is_in_two():
    assert len(GROUPS) == 80
    words = [word for group in GROUPS.values() for word in group]
    assert len(words) == len(set(words))


def test_every_word_and_its_plural_name_their_category_alone():
    for category, words in GROUPS.items():
        for word in words:
            assert list(mentions(f"Here: {word}.")) == [category], word
            assert list(mentions(plural(word))) == [category], word


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A hot dog on a plate", ["hot dog"]),
        ("Two dogs and a dog", ["dog", "dog"]),
        ("a baby elephant", ["elephant"]),
        ("a baby and an elephant", ["person", "elephant"]),
        ("a passenger train", ["train"]),
        ("the man's tie", ["person", "tie"]),
        ("the woman\u2019s tie", ["person", "tie"]),
        ("a player at home plate", ["person"]),
        ("Wine glasses, knives; mice!", ["wine glass", "knife", "mouse"]),
        ("a toilet seat", ["toilet"]),
        ("a teddy bear", ["teddy bear"]),
        ("bearing carpets", []),
        ("A bottle of wine, glasses and a knife.", ["bottle", "knife"]),
        ("The meal is hot. Dogs wait.", ["dog"]),
        (
            "A stop: signs, a bus; stop. Play at home! Plate? Table - tennis",
            ["bus", "dining table"],
        ),
        ("wine/glasses, wine (glasses), hot \u2014 dogs, hot\u2026 dog", ["dog", "dog"]),
        ("- teddy\n- bears\nhot\ndogs", ["teddy bear", "bear", "dog"]),
        ("a 'stop' sign, hot 2 dogs", ["dog"]),
        (
            "a hot-dog stand, traffic\u2011lights, wine_glasses",
            ["hot dog", "traffic light", "wine glass"],
        ),
        (
            "a dog-shaped cake, no\u00a0dog, a wine \u00a0 glass",
            ["dog", "cake", "dog", "wine glass"],
        ),
        ("a catcher's mitt, caf\u00e9 chairs, cat\u00e9gories", ["baseball glove", "chair"]),
        ("", []),
    ],
)
def test_what_a_caption_names(text, named):
    assert list(mentions(text)) == named
