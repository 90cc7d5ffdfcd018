from collections import Counter

import pytest

from memvr_integrations.evaluate.benchmarks.scoring.yes_no import (
    PARSERS,
    count_all_parsers,
    count_answer,
    figures_of,
    figures_of_all_parsers,
    yes_or_no,
)

# What each parser reads: where yes is right, and where no is; "?" is unsure.
READINGS = {
    #                                     official vcd       lmms-eval vlmevalkit
    "Yes": ("y", "y", "y", "y", "y", "y", "y", "y"),
    "No": ("n", "n", "n", "n", "n", "n", "n", "n"),
    "yes.": ("y", "y", "y", "y", "?", "?", "y", "y"),
    "No, there is no dog.": ("n", "n", "n", "n", "?", "?", "n", "n"),
    "Yes. It is not big.": ("y", "y", "y", "n", "?", "?", "y", "y"),
    "I know.": ("y", "y", "n", "n", "?", "?", "?", "?"),
    "Perhaps": ("y", "y", "n", "y", "?", "?", "?", "?"),
    "yes and no": ("n", "n", "y", "n", "?", "?", "?", "?"),
    "It is not there": ("n", "n", "n", "n", "?", "?", "?", "?"),
    "NO": ("y", "y", "n", "n", "n", "n", "n", "n"),
    " no ": ("n", "n", "n", "n", "n", "n", "n", "n"),
    "": ("y", "y", "n", "y", "?", "?", "?", "?"),
}


@pytest.mark.parametrize("answer", READINGS)
def test_four_parsers_on_the_same_answer(answer):
    letters = {True: "y", False: "n", None: "?"}
    read = [
        letters[parser(answer, truth)] for parser in PARSERS.values() for truth in (True, False)
    ]
    assert tuple(read) == READINGS[answer]


def test_yes_or_no_by_words():
    assert yes_or_no("Well, yes!") is True
    assert yes_or_no("no") is False
    assert yes_or_no("nothing") is None


def test_figures_by_hand():
    counts = Counter()
    # 3 hits, 1 miss, 2 false alarms, 3 rejections, 1 unsure where yes is right: 10 answers.
    for truth, said, times in (
        (True, True, 3),
        (True, False, 1),
        (False, True, 2),
        (False, False, 3),
        (True, None, 1),
    ):
        for _ in range(times):
            count_answer(counts, "x", truth=truth, said=said)
    figures = figures_of(counts, "x")
    assert figures == pytest.approx(
        {
            "x/accuracy": 60,
            "x/precision": 60,  # 3 of 5
            "x/recall": 60,  # 3 of 5, the unsure one missed
            "x/F1": 60,
            "x/yes ratio": 50,
            "x/unsure": 10,
        }
    )
    kind = figures_of(counts, "x", unsure_is_missed=False)
    assert kind["x/recall"] == pytest.approx(75)
    assert kind["x/F1"] == pytest.approx(2 * 60 * 75 / 135)
    # "No" as the positive: 3 hits, 1 false alarm, 2 misses.
    negative = figures_of(counts, "x", positive=False)
    assert negative["x/precision"] == pytest.approx(75)
    assert negative["x/recall"] == pytest.approx(60)
    assert negative["x/accuracy"] == figures["x/accuracy"]


def test_what_is_undefined_is_left_out():
    counts = Counter()
    count_answer(counts, "x", truth=False, said=False)
    assert figures_of(counts, "x") == {"x/accuracy": 100, "x/yes ratio": 0, "x/unsure": 0}


def test_parsers_disagree_on_the_same_outputs():
    """Right answers in sentences: perfect for three parsers, worthless for the fourth."""
    counts = Counter()
    count_all_parsers(counts, "s", "Yes, there is.", truth=True)
    count_all_parsers(counts, "s", "No, there is none.", truth=False)
    figures = figures_of_all_parsers(counts, "s")
    assert [figures[f"s/{name}/accuracy"] for name in PARSERS] == [100, 100, 0, 100]
    assert [f"s/{name}/unsure" in figures for name in PARSERS] == [False, False, True, True]
    assert figures["s/lmms-eval/unsure"] == 100
