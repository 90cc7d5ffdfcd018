import json
import math

import pytest

from memvr_integrations.evaluate.costs.figures import Spread, Table


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(20, 6, 15), (10, 2, 9), (6, 1, 6), (5, 1, 5), (1, 1, 1), (100, 40, 61)],
)
def test_the_interval_of_a_median_is_as_tables_of_ranks_have_it(count, low, high):
    spread = Spread([float(value) for value in range(count, 0, -1)])
    assert (spread.low, spread.high) == (low, high)
    assert spread.median == (count + 1) / 2


def test_figures_are_as_precise_as_they_are_large():
    assert str(Spread([1.0, 2.0, 3.456])) == "2.00 (1.00-3.46)"
    assert str(Spread([0.0162])) == "0.016"
    assert str(Spread([12.34])) == "12.3"
    assert str(Spread([1234.5])) == "1234"
    assert str(Spread([])) == "-"


def test_ratios_are_of_one_round():
    assert Spread.ratio([2.0, 9.0], [1.0, 3.0]).values == [2.0, 3.0]
    with pytest.raises(ValueError, match="zip"):
        Spread.ratio([2.0], [1.0, 3.0])


def test_a_table_is_written_for_readers_and_for_programs():
    table = Table(
        title="Costs",
        note="in turn.",
        charted="ratio",
        columns=["ms", "ratio"],
        rows={"off": [Spread([4.0]), Spread([1.0])], "on": [Spread([5.0]), Spread([])]},
    )
    assert list(table.markdown()) == [
        "**Costs**: in turn.",
        "",
        "| | ms | ratio |",
        "|---|---|---|",
        "| off | 4.00 | 1.00 |",
        "| on | 5.00 | - |",
    ]
    rows = json.loads(json.dumps(table.to_dict(), allow_nan=False))["rows"]
    assert rows["on"]["ms"] == {"median": 5.0, "low": 5.0, "high": 5.0, "values": [5.0]}
    assert rows["on"]["ratio"]["median"] is None
    assert math.isnan(Spread([]).median)
