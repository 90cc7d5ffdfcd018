"""The cells of tables."""

from report_lines import OTHER, PLAIN

from memvr_integrations.evaluate.running.report.line import Line, figure_names, rows
from memvr_integrations.evaluate.running.statistics import Estimate

NAMES = ["accuracy", "yes-ratio"]


def test_a_row_has_a_cell_for_every_head():
    table = list(rows([PLAIN, OTHER], NAMES))
    assert table[0] == ["", "plain", "memvr <b>", "memvr <b> - plain"]
    assert len({len(cells) for cells in table}) == 1
    found = {cells[0]: cells[1:] for cells in table}
    assert found["accuracy"] == ["80.0 [75.0, 85.0]", "84.0 [79.0, 88.0]", "+4.00 [+1.00, +7.00]"]
    assert found["McNemar's p"] == ["", "0.031", ""]
    assert found["answers other than plain's"] == ["", "7 of 99", ""]
    assert found["tokens that retraced"] == ["0.0%", "25.0%", ""]
    assert found["questions that failed"] == ["", "1", ""]
    assert "peak memory, GB" not in found
    alone = [cells[0] for cells in rows([PLAIN], NAMES)]
    assert "McNemar's p" not in alone  # nothing to compare
    assert "questions that failed" not in alone


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
