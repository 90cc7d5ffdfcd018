"""What was lost and what came back, from counts whose answer is known."""

import pytest
import torch

from memvr_integrations.evaluate.running.restoration import (
    BLIND,
    OTHER,
    RIGHT,
    Restored,
    as_markdown,
    balanced,
    compared,
    share_right,
)


def counts(yes, no, groups=40):
    """So many of two questions of each kind right, in every group alike."""
    return torch.tensor([[yes, 2.0, no, 2.0, 0.0, 0.0]] * groups, dtype=torch.float64)


def test_always_the_same_answer_is_worth_fifty():
    assert float(balanced(torch.tensor([3.0, 3.0, 0.0, 9.0, 0.0, 0.0]))) == 50
    assert float(balanced(torch.tensor([0.0, 0.0, 0.0, 0.0, 3.0, 4.0]))) == 75
    assert share_right(counts(2, 1)).value == 75


def test_the_share_restored_is_of_what_was_lost():
    hits = {BLIND: counts(2, 0), RIGHT: counts(2, 1), OTHER: counts(2, 0)}
    blind, right, other = compared(3, counts(2, 2), hits)
    assert (blind.way, blind.right.value, blind.gain) == (BLIND, 50, None)
    assert right.gain.value == 25
    assert right.restored.value == pytest.approx(50)
    assert right.over_other.value == 25
    assert other.restored.value == 0
    assert other.over_other is None


def test_where_nothing_was_lost_nothing_is_restored():
    hits = {BLIND: counts(2, 2), RIGHT: counts(2, 2), OTHER: counts(2, 2)}
    lines = compared(6, counts(2, 2), hits)
    assert lines[1].restored is None
    assert "| from layer 6 | memvr | 100.0 [100.0, 100.0] | +0.00" in as_markdown(lines)
    assert as_markdown(lines).splitlines()[3].split("|")[5].strip() == "-"


def test_intervals_resample_groups():
    lucky = torch.cat([counts(2, 2, 20), counts(0, 0, 20)])
    found = share_right(lucky)
    assert found.low < 45 < 55 < found.high
    assert as_markdown([Restored(from_layer=None, way="sighted", right=found)]).count("\n") == 2
