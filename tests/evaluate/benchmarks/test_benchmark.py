import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import (
    Question,
    all_answered,
    answered,
    complete,
    percentages,
)

QUESTIONS = [Question(id=name, text="?", images=(), group="g") for name in ("one", "two")]


def test_answers_come_in_the_order_of_the_questions():
    taken = answered(QUESTIONS, {"two": "2", "one": "1"})
    assert [(question.id, answer) for question, answer in taken] == [("one", "1"), ("two", "2")]


def test_an_answer_to_nothing_is_refused():
    with pytest.raises(BenchmarkError, match="Did you mean 'two'"):
        list(answered(QUESTIONS, {"one": "1", "twoo": "2"}))


def test_a_set_with_an_open_question_says_nothing():
    sets = {"a": ["1", "2"], "b": ["3"], "c": ["1", "4"]}
    assert complete(sets, {"1": True, "2": False, "3": True}) == {"a": False, "b": True}


def test_shares_of_nothing_are_left_out():
    assert percentages({"a": (1, 4), "b": (0, 0)}) == {"a": 25}


def test_a_file_of_answers_has_no_gaps():
    pairs = all_answered(QUESTIONS, {"two": "2", "one": "1"})
    assert [answer for _, answer in pairs] == ["1", "2"]
    with pytest.raises(BenchmarkError, match="1 of 2 are missing; the first is that to 'one'"):
        all_answered(QUESTIONS, {"two": "2"})
