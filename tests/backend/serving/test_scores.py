"""Probabilities of answers from those of their tokens, without a model."""

import math
from types import SimpleNamespace

import pytest

from memvr_integrations.backend.serving.scores import Spellings
from memvr_integrations.errors import ContextLengthError, RequestError


def by_letters(text):
    return [tuple(map(ord, text))]


def by_letters_or_blank(text):
    return [*by_letters(text), *by_letters(" " + text)]


def at_once(text):
    return [(text,)]


def only_after_a_blank(text):
    return [(text,), *by_letters(" " + text)]


def run(logs):
    return SimpleNamespace(tokens=[SimpleNamespace(logprob=log) for log in logs])


def scored(answers, spell, logs):
    """The probabilities of some answers; `logs` gives those of a token sequence."""
    spellings = Spellings(answers, spell)
    return [math.exp(one) for one in spellings.scores([run(logs(s)) for s in spellings.dictated])]


def half(ids):
    return [math.log(0.5)] * len(ids)


@pytest.mark.parametrize(
    ("spell", "expected"),
    [
        (by_letters, {"1": 0.25, "10": 0.125, "100": 0.125, "2": 0.5}),
        (at_once, {"1": 0.5, "10": 0.5, "100": 0.5, "2": 0.5}),
        (by_letters_or_blank, {"1": 0.375, "10": 0.1875, "100": 0.1875, "2": 0.75}),
        (only_after_a_blank, {"1": 0.625, "10": 0.5625, "100": 0.5625, "2": 0.75}),
    ],
)
def test_a_longer_answer_lends_nothing_to_a_shorter_one(spell, expected):
    for answers in (list(expected), list(expected)[::-1]):
        found = dict(zip(answers, scored(answers, spell, half), strict=True))
        assert found == pytest.approx(expected)


def test_a_beginning_is_computed_with_the_longest_answer():
    assert Spellings(["1", "100", "10", "2"], by_letters).dictated == [
        tuple(map(ord, "100")),
        tuple(map(ord, "2")),
    ]


def test_all_that_is_taken_leaves_nothing():
    def certain(ids):
        return [0.0] * len(ids)

    assert scored(["1", "10"], by_letters, certain) == [0, 1]
    # Two runs may differ by rounding, so that the longer ones have more than all of it.
    assert scored(["1", "10", "11"], by_letters, certain) == [0, 1, 1]


def test_each_may_count_as_if_it_were_the_only_one():
    answers = ["1", "10", "2", "10"]
    plain = Spellings(answers, by_letters, exclusive=False)
    assert plain.dictated == [tuple(map(ord, "10")), tuple(map(ord, "2"))]  # "1" is computed too
    found = plain.scores([run(half(ids)) for ids in plain.dictated])
    assert list(map(math.exp, found)) == pytest.approx([0.5, 0.25, 0.5, 0.25])
    [cat, dog] = Spellings(["cat", "dog"], lambda text: [(0,)], exclusive=False).scores([run([-1])])
    assert cat == dog == -1


def test_unlikely_answers_are_no_underflow():
    long = "x" * 2000
    short, longer = Spellings([long, long + "y"], by_letters).scores([run([-1.0] * 2001)])
    assert longer == pytest.approx(-2001)
    assert short == pytest.approx(-2000 + math.log1p(-math.exp(-1)))


def test_answers_that_cannot_be_told_apart_are_refused():
    with pytest.raises(RequestError, match="'cat' and 'dog' are the same tokens"):
        Spellings(["cat", "dog"], lambda text: [(0,)])
    with pytest.raises(RequestError, match="'cat' has no tokens"):
        Spellings(["cat"], lambda text: [()])


def test_an_answer_that_was_cut_has_no_score():
    with pytest.raises(ContextLengthError, match="of 3 tokens does not fit"):
        Spellings(["cat"], by_letters).scores([run([-1.0, -1.0])])
