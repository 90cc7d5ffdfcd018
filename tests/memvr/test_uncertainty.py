import math

import pytest
import torch

from memvr_integrations.memvr import decide, layer_entropy, threshold_tensor


def entropy_by_hand(logits, top=10):
    kept = sorted(logits, reverse=True)[:top]
    weights = [math.exp(value - kept[0]) for value in kept]
    shares = [weight / sum(weights) for weight in weights]
    return -sum(p * math.log(p) for p in shares if p) / math.log(top)


def test_the_entropy_of_ten_and_of_all():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)) * 3
    for row, ten, all_ in zip(
        logits, layer_entropy(logits), layer_entropy(logits, "vocabulary"), strict=True
    ):
        assert ten.item() == pytest.approx(entropy_by_hand(row.tolist()), abs=1e-6)
        assert all_.item() == pytest.approx(entropy_by_hand(row.tolist(), 50), abs=1e-6)


def test_the_limits_of_the_entropy():
    even, sure = torch.zeros(2, 40), torch.zeros(40).index_fill(0, torch.tensor(3), 500.0)
    for form in ("top10", "vocabulary"):
        assert layer_entropy(even, form).tolist() == pytest.approx([1, 1])
        assert layer_entropy(sure, form).item() == 0


def test_half_precision_is_measured_in_float32():
    assert layer_entropy(torch.randn(4, 40).bfloat16()).dtype == torch.float32


def test_the_threshold_is_strict_to_the_last_bit():
    entropy = layer_entropy(torch.randn(1, 40, generator=torch.Generator().manual_seed(0)))
    at = entropy.item()
    waiting = torch.tensor([True])
    assert not decide(entropy, threshold_tensor([at]), waiting)
    assert decide(entropy, threshold_tensor([math.nextafter(at, 0)]), waiting)
    assert not decide(entropy, threshold_tensor([math.nextafter(at, 1)]), waiting)


def test_nan_and_rows_that_are_done_never_trigger():
    entropy, waiting = torch.tensor([math.nan, 0.9, 0.9]), torch.tensor([True, False, True])
    assert decide(entropy, threshold_tensor([0.0]), waiting).tolist() == [False, False, True]
