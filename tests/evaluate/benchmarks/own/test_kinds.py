"""What a row's answer is of, how it is asked for, and how a model's answer is read."""

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.own.kinds import chosen, comparable, truth_of
from memvr_integrations.evaluate.benchmarks.published_files import Record

COLOURS = {"A": "red", "B": "dark red", "C": "blue"}


def truth(answer, question="What is it?", **more):
    fields = {"question": question, "answer": answer, **more}
    return truth_of(Record(fields, "own.csv, line 2"))


@pytest.mark.parametrize(
    ("answer", "more", "kind", "accepted"),
    [
        ("YES", {}, "yes/no", ("yes",)),
        ("no", {"kind": "text"}, "text", ("no",)),
        ("no", {"kind": " Yes/No "}, "yes/no", ("no",)),
        ("yes", {"choices": ["yes", "no"]}, "choice", ("A",)),
        (["yes", "yep"], {}, "text", ("yes", "yep")),
        ("Dark Red.", {"choices": list(COLOURS.values())}, "choice", ("B",)),
        (["c", "(A)"], {"choices": list(COLOURS.values())}, "choice", ("C", "A")),
        ("B", {}, "text", ("B",)),
        ("B", {"question": "Which? A. red B. blue"}, "choice", ("B",)),
        ("B", {"question": "Who is J. Smith? (A) him (B)her"}, "choice", ("B",)),
        ("C", {"question": "Which? A. red B. blue"}, "text", ("C",)),
        ("d", {"kind": "choice"}, "choice", ("D",)),
        ("B", {"choices": ["A", "B", "C"]}, "choice", ("B",)),
        (3, {}, "text", ("3",)),
    ],
)
def test_the_kind_follows_from_the_row(answer, more, kind, accepted):
    found = truth(answer, **more)
    assert (found.kind, found.accepted, found.derived) == (kind, accepted, "kind" not in more)


@pytest.mark.parametrize(
    ("answer", "more", "said"),
    [
        ("no", {"kind": "yesno"}, "'kind' is 'yesno'.*leave it empty.*Did you mean 'yes/no'"),
        ("maybe", {"kind": "yes/no"}, "'answer' is 'maybe'.*yes or no"),
        (["yes", "no"], {"kind": "yes/no"}, "yes or no"),
        ("green", {"choices": ["red", "blue"]}, "'green', which is none of .*'red', 'blue'"),
        ("E", {"kind": "choice"}, "none of the choices 'A', 'B', 'C', 'D'"),
        ("red", {"choices": ["red", "blue"], "kind": "text"}, "leave one of them empty"),
        ("red", {"choices": ["red"]}, "'choices' holds 1; two to 26"),
        ("red", {"choices": ["red", ""]}, "'choices' is empty, or a part of it"),
        ("red", {"choices": ["red", "Red."]}, "two mean the same"),
        ("B", {"choices": ["B", "A"]}, "single letters are what options are called by"),
        (["dog", " "], {}, "'answer' is empty, or a part of it"),
        (True, {}, "'answer' is 'True', no text"),
        ([2.5], {}, "no text and no list of texts"),
    ],
)
def test_what_fits_no_kind_is_refused(answer, more, said):
    with pytest.raises(BenchmarkError, match=f"own.csv, line 2: .*{said}"):
        truth(answer, **more)


def test_how_each_kind_is_asked():
    assert truth("yes").asked("Is it?") == "Is it? Answer yes or no."
    listed = truth("red", choices=["red", "blue"]).asked("Which?")
    assert listed == "Which?\n(A) red\n(B) blue\nAnswer with the option's letter."
    assert truth("B", choices=["A", "B"]).asked("Which?").splitlines()[0] == "Which?"
    assert truth("B", choices=["A", "B"]).asked("Which?").count("\n") == 1
    assert truth("dog").asked("What?").endswith("a single word or phrase.")
    assert truth("dog").asked("Answer in French: what?") == "Answer in French: what?"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("c.", "C"),
        ("A) because", "A"),
        ("The answer is B", "B"),
        ("Option: C", "C"),
        ("blue", "C"),
        ("It is dark red.", "B"),
        ("It is red.", "A"),
        ("Dark red.", "B"),
        ("It is red or blue.", None),
        ("(A) or (B)", None),
        ("A dog", None),
        ("E", None),
        ("", None),
    ],
)
def test_which_option_an_answer_names(answer, letter):
    assert chosen(answer, COLOURS) == letter


def test_answers_are_judged_by_their_kind():
    assert [truth("no").judged(one) for one in ("No, there isn't.", "Yes", "Hm", "yes or no")] == [
        True,
        False,
        None,
        None,
    ]
    choice = truth("red", choices=list(COLOURS.values()))
    assert [choice.judged(one) for one in ("A", "blue", "green")] == [True, False, None]
    text = truth(["two dogs", "Cafe\u0301"])
    assert [text.judged(one) for one in ("The 2 dogs.", "CAFÉ", "dogs")] == [True, True, False]


def test_what_is_right_in_words():
    assert str(truth(["red", "blue"], choices=list(COLOURS.values()))) == "(A) red or (C) blue"
    assert str(truth("B", choices=["A", "B"])) == "B"
    assert str(truth(["dog", "puppy"])) == "dog or puppy"


@pytest.mark.parametrize(
    ("text", "compared"), [("A", "a"), ("a.", "a"), ("?", "?"), ("The Cat.", "cat"), ("Ü", "ü")]
)
def test_something_is_left_to_compare(text, compared):
    assert comparable(text) == compared
