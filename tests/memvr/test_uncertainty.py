import math

import pytest
import torch
from torch import nn

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import decide, layer_entropy, threshold_tensor
from memvr_integrations.memvr.uncertainty import CandidateProbe, ExactProbe


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


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("bias", [False, True])
def test_candidates_are_exact_first_and_where_they_hold_the_best(bias, softcap):
    torch.manual_seed(0)
    head = nn.Linear(16, 300, bias=bias)
    hidden = torch.randn(2, 1, 16)
    later = hidden + 0.3 * torch.randn(2, 1, 16)
    exact = ExactProbe(head, "top10", softcap)
    probe = CandidateProbe(head, softcap, keep=150)
    with torch.no_grad():
        for _ in range(2):
            probe.begin()
            assert torch.equal(probe(hidden), exact(hidden))
            torch.testing.assert_close(probe(later), exact(later), rtol=0, atol=1e-6)
        few = CandidateProbe(head, softcap, keep=10)
        few(hidden)
        assert (few(-hidden) - exact(-hidden)).abs().max() > 1e-3


def test_the_softcap_counts():
    head = nn.Linear(16, 300)
    hidden = 20 * torch.randn(2, 16)
    capped, plain = ExactProbe(head, "top10", 1.0), ExactProbe(head, "top10")
    assert (capped(hidden) - plain(hidden)).abs().min() > 1e-3


def test_packed_heads_have_no_candidates():
    head = nn.Linear(4, 4)
    head.weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(ConfigError, match="Pass probe='exact'"):
        CandidateProbe(head)
