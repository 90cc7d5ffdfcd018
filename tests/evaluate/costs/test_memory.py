import pytest
from tiny_subject import tiny_subject

from memvr_integrations.evaluate.costs import memory


def test_the_last_quarter_is_compared_with_the_second():
    table = memory.table(tiny_subject(), memory.LEAST)
    found = {name: spread.median for name, [spread] in table.rows.items()}
    # The system counts both in haste.
    assert found["peak, MiB"] * 1.05 >= found["last quarter, MiB"] > 1
    ratio = found["last quarter, MiB"] / found["second quarter, MiB"]
    assert found["last quarter / second"] == pytest.approx(ratio)
    assert table.note.startswith(f"{memory.LEAST} mixed requests, 8 at a time")
