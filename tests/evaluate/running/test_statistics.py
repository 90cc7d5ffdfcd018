import itertools
import math
import random
import statistics
from collections import Counter

import pytest
import torch

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import percentages
from memvr_integrations.evaluate.running.statistics import (
    Estimate,
    by_image,
    intervals,
    mcnemar,
    paired_differences,
    share,
    total,
)


def accuracy(counts):
    return percentages({"accuracy": (counts.get("right", 0), counts.get("asked", 0))})


def groups(rights, asked=1):
    return {
        f"image {number}": Counter({"right": right, "asked": asked})
        for number, right in enumerate(rights)
    }


def test_sums():
    assert total({"a": {"x": 1}, "b": {"x": 2, "y": 3}}) == {"x": 3, "y": 3}


def test_an_interval_is_as_wide_as_theory_says():
    [found] = intervals(accuracy, groups([1, 0] * 200)).values()
    assert found.value == 50
    # 1.96 * sqrt(.25 / 400) = 4.9 points
    assert found.low == pytest.approx(45.1, abs=0.6)
    assert found.high == pytest.approx(54.9, abs=0.6)


def test_an_interval_agrees_with_all_possible_draws():
    """With three groups there are only 27 draws, which can be written out."""
    marks = {
        "a": {"right": 1, "asked": 1},
        "b": {"right": 1, "asked": 4},
        "c": {"right": 0, "asked": 2},
    }
    every = sorted(
        100 * sum(marks[one]["right"] for one in drawn) / sum(marks[one]["asked"] for one in drawn)
        for drawn in itertools.product(marks, repeat=3)
    )
    found = intervals(accuracy, marks)["accuracy"]
    assert found.value == pytest.approx(200 / 7)
    assert (found.low, found.high) == pytest.approx((every[0], every[-1]))  # 1 of 27 is 3.7 %


def test_a_figure_of_equal_answers_is_no_surer_than_of_one():
    one = intervals(accuracy, groups([1, 0] * 50))
    assert intervals(accuracy, groups([4, 0] * 50, asked=4)) == one


def test_the_same_marks_have_the_same_interval():
    marks = groups([1, 0, 0] * 20)
    assert intervals(accuracy, marks) == intervals(accuracy, marks)


def test_pairs_are_drawn_together():
    before = groups([1, 0] * 100)
    after = groups([1, 0] * 98 + [1, 1] * 2)
    found = paired_differences(accuracy, before, after)["accuracy"]
    assert found.value == pytest.approx(1)
    # Two of 200 images change: sd = sqrt(.01 * .99 / 200) = 0.70 points.
    assert found.low == pytest.approx(0, abs=0.01)
    assert found.high == pytest.approx(1 + 1.96 * 0.70, abs=0.4)
    # Each side alone is far wider.
    alone = intervals(accuracy, after)["accuracy"]
    assert alone.high - alone.low > 12


def test_the_order_of_the_groups_does_not_unpair_them():
    before = groups([1, 0, 1, 1, 0] * 10)
    backwards = dict(reversed(before.items()))
    found = paired_differences(accuracy, before, backwards)["accuracy"]
    assert (found.low, found.value, found.high) == (0, 0, 0)


def test_coverage_of_an_interval():
    """Of many experiments with a known truth, about 95 % have it in their interval."""
    rng = random.Random(5)
    covered = []
    for _ in range(120):
        marks = groups([rng.random() < 0.3 for _ in range(80)])
        found = intervals(accuracy, marks, draws=400)["accuracy"]
        covered.append(found.low <= 30 <= found.high)
    assert 0.88 <= statistics.mean(covered) <= 0.99


def test_a_figure_that_a_draw_leaves_undefined_is_drawn_from_the_others():
    def precision(counts):
        return percentages({"precision": (counts.get("hits", 0), counts.get("yes", 0))})

    marks = {"a": {"hits": 1, "yes": 1}, "b": {"hits": 0, "yes": 0}}
    found = intervals(precision, marks)["precision"]
    assert (found.low, found.value, found.high) == (100, 100, 100)
    assert intervals(precision, {}) == {}
    assert paired_differences(precision, {}, {}) == {}


def test_only_the_same_groups_are_paired():
    with pytest.raises(BenchmarkError, match=r"1 groups are in one set.*'image 2'"):
        paired_differences(accuracy, groups([1, 0]), groups([1, 0, 1]))
    with pytest.raises(BenchmarkError, match="2 questions are answered on one side"):
        mcnemar({"a": True}, {"b": True})


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, 1),
        (1, 0, 1),
        (5, 0, 2 / 32),
        (1, 7, 2 * (1 + 8) / 256),
        (3, 3, 1),
        (10, 2, 2 * (1 + 12 + 66) / 4096),
    ],
)
def test_mcnemar_by_hand(gained, lost, p):
    before = {f"gained {n}": False for n in range(gained)} | {
        f"lost {n}": True for n in range(lost)
    }
    after = {name: not right for name, right in before.items()}
    before |= {"same": True, "still wrong": False}
    after |= {"same": True, "still wrong": False}
    found = mcnemar(before, after)
    assert (found.gained, found.lost) == (gained, lost)
    assert found.p == pytest.approx(p)


def test_mcnemar_of_thousands():
    before = {str(n): n % 2 == 0 for n in range(9000)}
    found = mcnemar(before, {name: not right for name, right in before.items()})
    assert found.p == 1


def test_a_share_and_its_interval():
    hits = torch.tensor([1.0, 0.0] * 200)
    found = share(hits)
    assert found.value == pytest.approx(50)
    # 1.96 * sqrt(.25 / 400) = 4.9 points
    assert found.low == pytest.approx(45.1, abs=0.8)
    assert found.high == pytest.approx(54.9, abs=0.8)


def test_equal_answers_about_one_image_weigh_no_more_than_one():
    hits = torch.tensor([1.0, 0.0] * 100)
    one, four = share(hits), share(4 * hits, torch.full_like(hits, 4))
    assert four == one


def test_a_paired_difference_is_narrower_than_its_parts():
    off = (torch.arange(400) % 2 == 0).double()
    on = off.clone()
    on[1] = 1
    difference = share(on - off)
    assert difference.value == pytest.approx(0.25)
    assert difference.high - difference.low < 1.5
    assert difference.signed().startswith("+0.25 [+0.00")


def test_sums_by_image():
    sums = by_image(torch.tensor([True, True, False, True]), [0, 2, 2, 2], 3)
    assert sums.tolist() == [1, 0, 2]


def test_text():
    assert str(Estimate(12.34, 10, 15.06)) == "12.3 [10.0, 15.1]"


def test_what_was_asked_of_nothing_has_no_figure():
    nothing = by_image(torch.tensor([]), [], 3)
    assert nothing.tolist() == [0, 0, 0]
    assert math.isnan(share(nothing, nothing).value)
