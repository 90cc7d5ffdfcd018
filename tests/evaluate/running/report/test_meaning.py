"""What figures mean, by their names."""

import pytest

from memvr_integrations.evaluate.running.report.meaning import (
    better,
    gain,
    headline,
    principal,
    unit,
)
from memvr_integrations.evaluate.running.statistics import Estimate

SURE_UP, SURE_DOWN, UNSURE = Estimate(3, 1, 5), Estimate(-3, -5, -1), Estimate(3, -1, 5)


@pytest.mark.parametrize(
    ("name", "way", "counted"),
    [
        ("popular/official/accuracy", "higher", "%"),
        ("captions/CHAIR_I", "lower", "%"),
        ("captions/CHAIR_S", "lower", "%"),
        ("captions/length, words", None, "words"),
        ("popular/official/yes ratio", None, "%"),
        ("unanswerable", None, "%"),
        ("generative/Hal", "lower", "%"),
        ("generative/Cover", "higher", "%"),
        ("choice/unsure", "lower", "%"),
        ("OCR/score", "higher", "points"),
        ("OCR/acc+", "higher", "%"),
        ("total", "higher", "points"),
        ("something else", None, None),
        ("tokens a second", "higher", None),
        ("tokens an answer", None, None),
    ],
)
def test_which_way_is_better_and_what_is_counted(name, way, counted):
    assert better(name) == way
    if name != "tokens a second":
        assert unit(name) == counted


def test_a_gain_is_one_only_where_it_is_shown():
    assert [gain("accuracy", one) for one in (SURE_UP, SURE_DOWN, UNSURE)] == [True, False, None]
    assert [gain("CHAIR_I", one) for one in (SURE_UP, SURE_DOWN, UNSURE)] == [False, True, None]
    assert gain("yes ratio", SURE_UP) is None


def test_what_is_shown_first():
    names = ["popular/official/accuracy", "popular/official/precision", "popular/vcd/accuracy"]
    assert [headline(name) for name in [*names, "captions/recall"]] == [True, False, False, True]


def test_what_a_verdict_is_about():
    asked = ["popular/official/accuracy", "popular/vcd/accuracy", "popular/official/F1"]
    assert principal([*asked, "captions/CHAIR_I", "captions/recall"]) == [
        asked[0],
        "captions/CHAIR_I",
    ]
    assert principal(["accuracy", "yes-no/accuracy", "text/accuracy"]) == ["accuracy"]
    assert principal(["recall", "yes ratio"]) == ["recall"]
    assert principal(["length, words"]) == []
