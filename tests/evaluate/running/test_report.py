"""What was found, for the terminal and for a browser."""

from html.parser import HTMLParser

from memvr_integrations.evaluate.running.report import (
    WARNINGS,
    Line,
    as_html,
    as_markdown,
    as_text,
    figure_names,
    headline,
    rows,
)
from memvr_integrations.evaluate.running.statistics import Estimate

NAMES = ["accuracy", "yes-ratio"]

PLAIN = Line(
    strategy="plain",
    figures={"accuracy": Estimate(80.0, 75.0, 85.0), "yes-ratio": Estimate(50.0, 45.0, 55.0)},
    answered=100,
    length=6.0,
    tokens_per_second=100.0,
)
OTHER = Line(
    strategy="memvr <b>",
    figures={"accuracy": Estimate(84.0, 79.0, 88.0), "yes-ratio": Estimate(60.0, 55.0, 66.0)},
    changes={"accuracy": Estimate(4.0, 1.0, 7.0), "yes-ratio": Estimate(10.0, -1.0, 12.0)},
    p=0.0312,
    answered=99,
    failed=1,
    length=6.1,
    retraced=0.25,
    tokens_per_second=90.0,
)


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links, self.sure = [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td" and self.get_starttag_text() == '<td class="sure">':
            self.sure.append(data)


def test_a_row_has_a_cell_for_every_head():
    table = list(rows([PLAIN, OTHER], NAMES))
    assert table[0] == ["", "plain", "memvr <b>", "memvr <b> - plain"]
    assert len({len(cells) for cells in table}) == 1
    found = {cells[0]: cells[1:] for cells in table}
    assert found["accuracy"] == ["80.0 [75.0, 85.0]", "84.0 [79.0, 88.0]", "+4.00 [+1.00, +7.00]"]
    assert found["McNemar's p"] == ["", "0.031", ""]
    assert found["tokens that retraced"] == ["0.0%", "25.0%", ""]
    assert found["questions that failed"] == ["", "1", ""]
    assert "peak memory, GB" not in found
    alone = [cells[0] for cells in rows([PLAIN], NAMES)]
    assert "McNemar's p" not in alone  # nothing to compare
    assert "questions that failed" not in alone


def test_the_terminal_gets_columns_and_warnings():
    lines = as_text([PLAIN, OTHER], "scenes, 50 images").splitlines()
    assert lines[0] == "scenes, 50 images"
    heads, accuracy = lines[2], lines[3]
    assert heads.index("memvr <b>") + len("memvr <b>") == accuracy.index("84.0") + len(
        "84.0 [79.0, 88.0]"
    )
    for warning in WARNINGS:
        assert f"- {warning}" in lines


def test_the_page_is_whole_and_asks_nobody():
    page = as_html([PLAIN, OTHER], "Title & co", "about <it>")
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.links == []
    assert reader.sure == ["+4.00 [+1.00, +7.00]"]  # the other interval holds zero
    assert "memvr &lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<svg") == 4


def test_a_figure_that_one_way_lacks_is_left_empty():
    """A model that never says yes has no precision."""
    one, other = (
        Line(strategy="plain", figures={"accuracy": Estimate(50.0, 40.0, 60.0)}),
        Line(
            strategy="memvr",
            figures={name: Estimate(60.0, 50.0, 70.0) for name in ("accuracy", "precision")},
            changes={"accuracy": Estimate(10.0, 0.0, 20.0)},
        ),
    )
    for lines, cells in (
        ([one, other], ["", "60.0 [50.0, 70.0]", ""]),
        ([other, one], ["60.0 [50.0, 70.0]", "", ""]),
    ):
        found = {row[0]: row[1:] for row in rows(lines, figure_names(lines))}
        assert found["precision"] == cells
        assert as_html(lines, "a", "b").count("<svg") == 3


def test_many_ways_and_figures_stay_readable():
    figures = {
        f"popular/{parser}/{name}": Estimate(50.0, 40.0, 60.0)
        for parser in ("official", "vcd")
        for name in ("accuracy", "precision")
    } | {"captions/recall": Estimate(80.0, 70.0, 90.0)}
    ways = ["plain", "memvr", "shuffled", "damping", "vcd", "icd"]
    lines = [Line(strategy=way, figures=figures, changes=figures) for way in ways]
    text = as_text(lines, "about")
    assert max(map(len, text.split("\n- ")[0].splitlines())) < 140
    for way in ways[1:]:
        assert text.count(f"{way} - plain") == 1
    assert text.count("popular/official/accuracy") == text.count("captions/recall") == 3
    assert "precision" not in text
    page = as_html(lines, "a", "b")
    assert page.index("captions/recall") < page.index("<details>") < page.index("/vcd/accuracy")
    assert [headline(name) for name in figures] == [True, False, False, False, True]


def test_the_table_for_a_page_has_a_row_a_strategy():
    head, rule, plain, other = as_markdown([PLAIN, OTHER]).splitlines()
    assert head.startswith("| | accuracy | yes-ratio | McNemar's p | tokens an answer |")
    assert head.count("|") == rule.count("|") == plain.count("|") == other.count("|")
    assert plain.startswith("| plain | 80.0 [75.0, 85.0] | 50.0 [45.0, 55.0] |")
    assert "84.0<br>**+4.00 [+1.00, +7.00]** | 60.0<br>+10.00 [-1.00, +12.00] | 0.031" in other
