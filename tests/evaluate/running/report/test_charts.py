"""Bars, each on a scale that fits what is counted."""

import re

from memvr_integrations.evaluate.running.report.charts import charts, difference
from memvr_integrations.evaluate.running.report.line import Line
from memvr_integrations.evaluate.running.statistics import Estimate


def bars(name, *estimates):
    lines = [Line(strategy=str(n), figures={name: one}) for n, one in enumerate(estimates)]
    made = charts([name], lines)
    widths = re.findall(r'class="bar" width="([\d.]+)"', made)
    return made, [float(width) / 260 for width in widths]


def test_shares_end_at_a_hundred():
    made, [one] = bars("popular/official/accuracy", Estimate(50, 40, 60))
    assert one == 0.5
    assert "higher is better; bars from 0 to 100 %" in made


def test_lengths_and_sums_have_scales_of_their_own():
    made, [one, other] = bars("length, words", Estimate(10, 9, 20), Estimate(20, 15, 40))
    assert (one, other) == (0.25, 0.5)
    assert "bars from 0 to 40 words" in made
    made, [one] = bars("total", Estimate(1200, 1100, 1500))
    assert one == 0.8
    assert "0 to 1500 points" in made
    made, _ = bars("of an own benchmark", Estimate(2, 1, 4))
    assert "bars from 0 to 4)" in made


def test_what_is_nothing_or_less_has_no_bar():
    assert bars("own", Estimate(0, 0, 0), Estimate(-3, -4, -2))[1] == [0, 0]


def test_a_change_for_neither_better_nor_worse_is_marked():
    assert "≠ changed" in difference("yes ratio", Estimate(3, 1, 5))
    assert "≠" not in difference("yes ratio", Estimate(3, -1, 5))
    assert difference("yes ratio", None) == "<td></td>"


def test_a_figure_that_one_way_lacks_has_no_bar():
    lines = [
        Line(strategy="plain", figures={}),
        Line(strategy="memvr", figures={"precision": Estimate(60, 50, 70)}),
    ]
    assert charts(["precision"], lines).count("<svg") == 1
