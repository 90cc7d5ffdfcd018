import random

import pytest

from memvr_integrations.bundled.phrasings import (
    HELD_OUT,
    TRAINED,
    held_out_question,
    phrase_question,
)

SLOTS = {
    "a": "a dog", "c": "dog", "p": "dogs", "q": "cats", "the": "the dog", "is_": "is",
    "color": "red", "field": "at the top", "other": "the tree", "way": "left of",
    "nth": "first", "number": "one", "n": "two", "it": "it",
    "b": "a tree", "group": "animal", "groups": "animals", "half": "upper",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(TRAINED))
def test_every_pattern_becomes_a_sentence(kind):
    rng = random.Random(0)
    for _ in range(60):
        text = phrase_question(kind, rng, **SLOTS)
        assert text
        assert not set("[]{}|") & set(text)
        assert text[0].isupper()


def test_the_plain_wording_comes_often():
    rng = random.Random(0)
    asked = [phrase_question("count", rng, **SLOTS) for _ in range(400)]
    assert asked.count("How many dogs are there?") > 80


@pytest.mark.parametrize("kind", sorted(HELD_OUT))
def test_held_out_wordings_are_never_trained_on(kind):
    rng = random.Random(0)
    trained = {phrase_question(kind, rng, **SLOTS).lower() for _ in range(1500)}
    for _ in range(40):
        text = held_out_question(kind, rng, **SLOTS)
        assert not set("[]{}|") & set(text)
        assert text.lower() not in trained
