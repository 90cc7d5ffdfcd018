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
        ("", []),
    ],
)
def test_what_a_caption_names(text, named):
    assert list(mentions(text)) == named
