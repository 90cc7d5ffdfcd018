"""Probes with less than the whole head, beside the one with all of it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from memvr_integrations.memvr import ExactProbe, ReuseProbe, Screen, StrictProbe, probes

NEVER = torch.tensor([[9.0]])


def head_of(vocabulary, dim, *, bias=False, seed=0, scale=1.0):
    torch.manual_seed(seed)
    head = nn.Linear(dim, vocabulary, bias=bias).requires_grad_(False)
    head.weight.normal_(0, scale / dim**0.5)
    return head


def strict_of(head, softcap=None):
    return StrictProbe(head, Screen(head.weight, head.bias), softcap)


def read(probe, hidden, thresholds=NEVER, first=None):
    waiting = torch.ones(hidden.shape[:2], dtype=torch.bool)
    first = range(len(hidden)) if first is None else first
    first = torch.tensor(list(first), dtype=torch.long)
    return probe(hidden, thresholds.expand(len(hidden), 1), waiting, first)


@given(
    seed=st.integers(0, 10**6),
    vocabulary=st.sampled_from([1, 3, 9, 10, 11, 90, 1500]),
    dim=st.sampled_from([1, 8, 65]),
    scale=st.sampled_from([0.0, 0.1, 3.0, 60.0]),
    spike=st.sampled_from([1.0, 1e3]),
    ties=st.booleans(),
    bias=st.booleans(),
    softcap=st.sampled_from([None, 4.0]),
    near=st.sampled_from([0.0, 1e-7, 1e-5, 1e-3]),
)
def test_strict_is_exact(seed, vocabulary, dim, scale, spike, ties, bias, softcap, near):
    head = head_of(vocabulary, dim, bias=bias, seed=seed, scale=scale)
    if ties:
        head.weight[: vocabulary // 2] = head.weight[0].clone()
    hidden = torch.randn(3, 2, dim)
    hidden[..., 0] *= spike
    exact = read(ExactProbe(head, "top10", softcap), hidden)
    thresholds = exact[:, :1] + near * torch.tensor([[-1.0], [0.0], [1.0]])
    found = read(strict_of(head, softcap), hidden, thresholds)
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-5)
    assert torch.equal(found > thresholds, exact > thresholds)


def test_strict_runs_the_whole_head_only_where_it_must():
    head, hidden = head_of(4000, 64, scale=6.0), torch.randn(8, 1, 64)
    runs = []
    head.register_forward_hook(lambda *_: runs.append(1))
    probe = strict_of(head)
    exact = read(probe, hidden)
    assert (runs, probe.asked, probe.proven) == ([], 8, 8)
    thresholds = NEVER.repeat(8, 1)
    thresholds[3] = exact[3]
    read(probe, hidden, thresholds)
    assert (len(runs), probe.asked, probe.proven) == (1, 16, 15)
    flat = strict_of(head_of(4000, 64, scale=0.0))
    read(flat, hidden)
    assert (flat.asked, flat.proven) == (8, 0)


def test_strict_computes_more_where_the_first_prove_nothing(monkeypatch):
    monkeypatch.setattr(probes, "_KEEP", 12)
    head, hidden = head_of(4000, 300), torch.randn(6, 1, 300)
    probe = strict_of(head)
    hidden[2] = 0
    exact = read(ExactProbe(head, "top10"), hidden)
    torch.testing.assert_close(read(probe, hidden), exact, rtol=0, atol=1e-6)
    assert (probe.asked, probe.proven) == (6, 5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e38])
def test_what_is_not_finite_is_as_the_whole_head_has_it(bad):
    head, hidden = head_of(300, 16), torch.randn(3, 1, 16)
    hidden[1, 0, 4] = bad
    exact = read(ExactProbe(head, "top10"), hidden)
    torch.testing.assert_close(read(strict_of(head), hidden), exact, equal_nan=True)
    reuse = read(ReuseProbe(head, Screen(head.weight, None)), hidden)
    assert reuse.isnan().equal(exact.isnan())


def test_a_weight_that_is_not_finite_is_seen():
    head, hidden = head_of(3000, 16, scale=5.0), torch.randn(3, 1, 16)
    head.weight[700, 2] = math.nan
    for probe in (strict_of(head), ReuseProbe(head, Screen(head.weight, None))):
        assert read(probe, hidden).isnan().all()


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("screened", [False, True])
def test_reuse_is_exact_where_its_candidates_hold_the_best(bias, softcap, screened):
    head = head_of(300, 16, bias=bias)
    hidden = torch.randn(2, 1, 16)
    later = hidden + 0.3 * torch.randn(2, 1, 16)
    exact = ExactProbe(head, "top10", softcap)
    screen = Screen(head.weight, head.bias) if screened else None
    probe = ReuseProbe(head, screen, softcap, keep=150)
    for _ in range(2):
        probe.begin()
        torch.testing.assert_close(read(probe, hidden), read(exact, hidden), rtol=0, atol=1e-6)
        found = read(probe, later, first=())
        torch.testing.assert_close(found, read(exact, later), rtol=0, atol=1e-6)
    few = ReuseProbe(head, screen, softcap, keep=10)
    read(few, hidden)
    assert (read(few, -hidden, first=()) - read(exact, -hidden)).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_reuses_the_same_alone_and_in_any_batch(dtype):
    head = head_of(600, 32, bias=True, scale=3.0).to(dtype)
    layers = torch.randn(4, 5, 2, 32).to(dtype) * torch.logspace(-2, 2, 5)[:, None, None].to(dtype)
    begins = [0, 2, 0, 1, 2]
    screen = Screen(head.weight, head.bias)
    together = ReuseProbe(head, screen, keep=20)
    assert together.candidates(layers[0]).shape == (5, 2, 20)
    batch = []
    for at, hidden in enumerate(layers):
        batch.append(read(together, hidden, first=[r for r, b in enumerate(begins) if b == at]))
    for row, begin in enumerate(begins):
        alone = ReuseProbe(head, screen, keep=20)
        for at in range(begin, 4):
            own = layers[at, row : row + 1]
            in_batch = together.candidates(layers[at])[row : row + 1]
            assert torch.equal(alone.candidates(own), in_batch)
            found = read(alone, own, first=(0,) if at == begin else ())
            tolerance = 1e-6 if dtype == torch.float32 else 2e-2
            torch.testing.assert_close(found[0], batch[at][row], rtol=0, atol=tolerance)


def test_decisions_that_do_not_wait_cost_nothing():
    head, hidden = head_of(2000, 16, scale=0.0), torch.randn(2, 1, 16)
    probe = strict_of(head)
    waiting = torch.tensor([[False], [False]])
    probe(hidden, NEVER.expand(2, 1), waiting, torch.tensor([], dtype=torch.long))
    assert (probe.asked, probe.proven) == (0, 0)


def test_the_softcap_counts():
    head = head_of(300, 16)
    hidden = 20 * torch.randn(2, 1, 16)
    capped, plain = ExactProbe(head, "top10", 1.0), ExactProbe(head, "top10")
    assert (read(capped, hidden) - read(plain, hidden)).abs().min() > 1e-3
