import random
import re

import pytest
from bundled_model.conversations.wordings.paraphrase import say
from bundled_model.conversations.wordings.phrasings import (
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


def wordings(pattern):
    """All that a pattern can say."""
    found = re.search(r"\[([^\[\]]*)\]", pattern)
    if not found:
        return {say(pattern, random.Random(0), **SLOTS)}
    before, behind = pattern[: found.start()], pattern[found.end() :]
    return set().union(*(wordings(before + one + behind) for one in found[1].split("|")))


def all_of(patterns):
    return set().union(*map(wordings, patterns))


@pytest.mark.parametrize("kind", sorted(TRAINED))
def test_every_wording_is_a_sentence(kind):
    for text in all_of(TRAINED[kind] + HELD_OUT.get(kind, ())):
        assert text
        assert not set("[]{}|") & set(text)
        assert text[0].isupper()


def test_a_question_is_one_of_the_wordings():
    rng = random.Random(0)
    for kind in HELD_OUT:
        for ask, patterns in ((phrase_question, TRAINED), (held_out_question, HELD_OUT)):
            assert {ask(kind, rng, **SLOTS) for _ in range(40)} <= all_of(patterns[kind])


def test_the_plain_wording_comes_often():
    rng = random.Random(0)
    asked = [phrase_question("count", rng, **SLOTS) for _ in range(400)]
    assert asked.count("How many dogs are there?") > 80


@pytest.mark.parametrize("kind", sorted(HELD_OUT))
def test_held_out_wordings_are_never_trained_on(kind):
    trained = {text.lower() for text in all_of(TRAINED[kind])}
    assert not {text.lower() for text in all_of(HELD_OUT[kind])} & trained
