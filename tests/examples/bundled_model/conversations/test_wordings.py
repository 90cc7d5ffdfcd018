"""Words: what the exam asks in is never trained on, and no word means two things."""

import random
import re

import pytest
from bundled_model.conversations.synonyms import SYNONYMS
from bundled_model.conversations.unknowable import unknowable
from bundled_model.conversations.vocabulary import GROUPS, HELD_OUT_STRANGERS, STRANGERS
from bundled_model.conversations.wordings.paraphrase import mistyped, say
from bundled_model.conversations.wordings.phrasings import (
    HELD_OUT,
    TRAINED,
    held_out_question,
)
from bundled_model.exam.seen_wordings import is_seen_wording

from memvr_integrations.bundled.world import CLASSES, plural

SLOTS = {
    "a": "a dog", "c": "dog", "p": "dogs", "q": "cats", "the": "the dog", "is_": "is",
    "color": "red", "field": "at the top", "other": "the tree", "way": "left of",
    "nth": "first", "number": "one", "n": "two", "it": "it",
    "b": "a tree", "group": "animal", "groups": "animals", "half": "upper",
}  # fmt: skip


def wordings(pattern):
    """All that a pattern can say."""
    found = re.search(r"\[([^\[\]]*)\]", pattern)
    if not found:
        return {say(pattern, random.Random(0), **SLOTS)}
    before, after = pattern[: found.start()], pattern[found.end() :]
    return set().union(*(wordings(before + one + after) for one in found[1].split("|")))


def all_of(patterns):
    return set().union(*map(wordings, patterns))


@pytest.mark.parametrize("kind", sorted(HELD_OUT))
def test_held_out_wordings_are_never_trained_on(kind):
    trained = {text.lower() for text in all_of(TRAINED[kind])}
    assert not {text.lower() for text in all_of(HELD_OUT[kind])} & trained


def test_held_out_wordings_are_others():
    rng = random.Random(0)
    trained = {unknowable("fork", rng).question for _ in range(3000)}
    held_out = {unknowable("fork", rng, held_out=True).question for _ in range(100)}
    assert not trained & held_out


def test_no_stranger_is_a_class_and_none_is_held_out_and_trained_on():
    named = set(CLASSES) | {plural(name) for name in CLASSES}
    assert not named & set(STRANGERS + HELD_OUT_STRANGERS)
    assert not set(STRANGERS) & set(HELD_OUT_STRANGERS)


def test_groups_hold_classes_and_leave_out_what_is_unclear():
    for members, unclear in GROUPS.values():
        assert members | unclear <= set(CLASSES)
        assert not members & unclear


def test_another_name_means_one_class_and_nothing_else():
    others = [other for names in SYNONYMS.values() for other in names]
    assert set(SYNONYMS) <= set(CLASSES)
    assert len(set(others)) == len(others)
    taken = {*CLASSES, *map(plural, CLASSES), *STRANGERS, *HELD_OUT_STRANGERS}
    assert not taken & set(others)


def test_choices_nest_and_slots_are_filled():
    said = {say("[a|b [c|d]|] {x}?", random.Random(seed), x="end") for seed in range(60)}
    assert said == {"A end?", "B c end?", "B d end?", "End?"}


def test_a_slip_changes_one_longer_word_a_little():
    rng = random.Random(0)
    for _ in range(100):
        text = mistyped("Is the car by the elephant", rng)
        words = text.split()
        assert words[:5] == ["Is", "the", "car", "by", "the"]
        assert abs(len(words[5]) - len("elephant")) <= 1
    assert mistyped("Is it a cat", rng) == "Is it a cat"


@pytest.mark.parametrize("question", ["is there a dog in the image", "Where is the red cup?"])
def test_signs_things_and_colors_do_not_matter(question):
    assert is_seen_wording(question)


def test_no_held_out_wording_is_a_seen_one():
    rng = random.Random(0)
    for kind in HELD_OUT:
        for _ in range(20):
            assert not is_seen_wording(held_out_question(kind, rng, **SLOTS)), kind
