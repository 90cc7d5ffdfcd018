import math

import pytest
import torch

from memvr_integrations.evaluate.running.intervals import Estimate, by_image, share


def test_a_share_and_its_interval():
    hits = torch.tensor([1.0, 0.0] * 200)
    found = share(hits)
    assert found.value == pytest.approx(50)
    # 1.96 * sqrt(.25 / 400) = 4.9 points
    assert found.low == pytest.approx(45.1, abs=0.8)
    assert found.high == pytest.approx(54.9, abs=0.8)


def test_questions_of_one_image_are_not_independent():
    """Four equal answers an image tell no more than one."""
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
