"""What was found, for a terminal and for a page in Markdown."""

from report_lines import OTHER, PLAIN

from memvr_integrations.evaluate.running.report.line import Line
from memvr_integrations.evaluate.running.report.text import as_markdown, as_text
from memvr_integrations.evaluate.running.report.verdict import WARNINGS
from memvr_integrations.evaluate.running.statistics import Estimate


def test_the_terminal_gets_a_verdict_columns_and_warnings():
    lines = as_text([PLAIN, OTHER], "scenes, 50 images").splitlines()
    assert lines[0] == "scenes, 50 images"
    assert lines[2].startswith("memvr <b> against plain: better in accuracy")
    heads, accuracy = lines[4], lines[5]
    assert heads.index("memvr <b>") + len("memvr <b>") == accuracy.index("84.0") + len(
        "84.0 [79.0, 88.0]"
    )
    for warning in WARNINGS:
        assert f"- {warning}" in lines


def test_many_ways_and_figures_stay_readable():
    figures = {
        f"popular/{parser}/{name}": Estimate(50.0, 40.0, 60.0)
        for parser in ("official", "vcd")
        for name in ("accuracy", "precision")
    } | {"captions/recall": Estimate(80.0, 70.0, 90.0)}
    ways = ["plain", "memvr", "shuffled", "damping", "vcd", "icd"]
    lines = [Line(strategy=way, figures=figures, changes=figures) for way in ways]
    tables = as_text(lines, "about").split("\n\n", 2)[2]
    assert max(map(len, tables.split("\n- ")[0].splitlines())) < 140
    for way in ways[1:]:
        assert tables.count(f"{way} - plain") == 1
    assert tables.count("popular/official/accuracy") == tables.count("captions/recall") == 3
    assert "precision" not in tables


def test_the_table_for_a_page_has_a_row_a_strategy():
    head, rule, plain, other = as_markdown([PLAIN, OTHER]).splitlines()
    assert head.startswith("| | accuracy | yes-ratio | answers other than plain's | McNemar's p |")
    assert head.count("|") == rule.count("|") == plain.count("|") == other.count("|")
    assert plain.startswith("| plain | 80.0 [75.0, 85.0] | 50.0 [45.0, 55.0] |")
    assert (
        "84.0<br>**+4.00 [+1.00, +7.00]** | 60.0<br>+10.00 [-1.00, +12.00] | 7 of 99 | 0.031"
        in other
    )
