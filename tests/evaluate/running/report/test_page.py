"""The report for a browser."""

import re

from report_lines import HOSTILE, OTHER, PLAIN, Read, line

from memvr_integrations.evaluate.running.report.line import Line
from memvr_integrations.evaluate.running.report.page import as_html
from memvr_integrations.evaluate.running.report.verdict import WARNINGS
from memvr_integrations.evaluate.running.statistics import Estimate


def test_the_page_is_whole_and_asks_nobody():
    page = as_html([PLAIN, OTHER], "Title & co", "about <it>")
    read = Read(page)
    assert read.loads == []
    assert not re.search(r"url\(|@import|fetch\(|https?://", page)
    [policy] = [one for one in read.of("meta") if one.get("http-equiv")]
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert "script-src" not in policy["content"]
    assert "memvr &lt;b&gt;" in page
    assert page.count("<svg") == 4
    for warning in WARNINGS:
        assert warning in read.text


def test_the_verdict_comes_first_and_differences_are_marked_in_words():
    read = Read(as_html([PLAIN, OTHER], "title", "about the run"))
    assert read.text.index("better in accuracy") < read.text.index("about the run")
    assert read.text.count("+4.00 [+1.00, +7.00] ▲ better") == 2
    assert read.text.count("▼") == 1  # in the legend: the other interval holds zero
    assert "accuracy\xa0↑(higher is better)" in read.text
    worse = line(accuracy=(-4.0, -7.0, -1.0), CHAIR_I=(4.0, 1.0, 7.0))
    read = Read(as_html([line("plain", accuracy=(0, 0, 0), CHAIR_I=(0, 0, 0)), worse], "a", "b"))
    assert "-4.00 [-7.00, -1.00] ▼ worse" in read.text
    assert "+4.00 [+1.00, +7.00] ▼ worse" in read.text
    assert "CHAIR_I\xa0↓(lower is better)" in read.text


def test_nothing_strange_acts():
    strange = Line(strategy=HOSTILE, figures={HOSTILE: Estimate(1, 1, 1)})
    read = Read(as_html([strange, strange], HOSTILE, HOSTILE))
    assert not read.of("script")
    assert not read.of("img")
    assert read.text.count("onerror=alert(2)") >= 6


def test_dark_pages_phones_and_wide_tables_are_thought_of():
    page = as_html([PLAIN, OTHER], "a", "b")
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport" content="width=device-width' in page
    assert re.search(r"th:first-child \{[^}]*position: sticky; left: 0", page)
    assert all(one["tabindex"] == "0" for one in Read(page).of("div") if one["class"] == "wide")


def test_other_figures_are_folded():
    figures = {
        f"popular/{parser}/accuracy": Estimate(50.0, 40.0, 60.0) for parser in ("official", "vcd")
    }
    lines = [Line(strategy=way, figures=figures, changes=figures) for way in ("plain", "memvr")]
    page = as_html(lines, "a", "b")
    assert page.index("official/accuracy") < page.index("<details>") < page.index("vcd/accuracy")
    assert "1 more figures" in page
