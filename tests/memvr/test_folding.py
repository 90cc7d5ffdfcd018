"""A norm that is a mere scaling, and the head that takes it over."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from memvr_integrations.memvr import ExactProbe, FoldedProbe, ScalingNorm, choose_probe

DIM = 24


def norm_of(kind, seed=0):
    torch.manual_seed(seed)
    norm = kind(DIM)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(DIM))
    return norm.requires_grad_(False)


def head_of(vocabulary=90, *, scale=1.0, seed=1):
    torch.manual_seed(seed)
    head = nn.Linear(DIM, vocabulary, bias=False).requires_grad_(False)
    head.weight.mul_(scale * 6)
    return head


def read(probe, hidden, thresholds):
    waiting = torch.ones(hidden.shape[:2], dtype=torch.bool)
    return probe(hidden, thresholds, waiting, torch.arange(len(hidden)))


def torch_norm(dim):
    return nn.RMSNorm(dim, eps=1e-5)


@pytest.mark.parametrize("kind", [LlamaRMSNorm, Gemma3RMSNorm, torch_norm])
def test_a_scaling_says_what_the_norm_says(kind):
    norm = norm_of(kind)
    scaling = ScalingNorm.of(norm, DIM)
    for magnitude in (1e-4, 1.0, 1e3):
        states = magnitude * torch.randn(3, 2, DIM)
        torch.testing.assert_close(scaling(states), norm(states), rtol=1e-4, atol=1e-6)


class Clipped(LlamaRMSNorm):
    def forward(self, states):
        return super().forward(states).clamp(-1, 1)


@pytest.mark.parametrize(
    "norm",
    [
        pytest.param(nn.LayerNorm(DIM), id="moves"),
        pytest.param(nn.Identity(), id="nothing"),
        pytest.param(norm_of(Clipped), id="clips"),
        pytest.param(LlamaRMSNorm(DIM).half(), id="half"),
        pytest.param(LlamaRMSNorm(DIM).to("meta"), id="meta"),
        pytest.param(LlamaRMSNorm(DIM + 1), id="wider"),
    ],
)
def test_other_norms_are_left_alone(norm):
    assert ScalingNorm.of(norm, DIM) is None


@given(
    seed=st.integers(0, 10**6),
    vocabulary=st.sampled_from([1, 3, 10, 11, 90]),
    scale=st.sampled_from([0.0, 0.1, 1.0, 30.0]),
    magnitude=st.sampled_from([0.0, 1e-6, 1.0, 1e4]),
    softcap=st.sampled_from([None, 4.0]),
    near=st.sampled_from([0.0, 1e-7, 1e-5, 1e-3]),
)
def test_folded_decides_as_the_norm_and_the_whole_head(
    seed, vocabulary, scale, magnitude, softcap, near
):
    norm, head = norm_of(LlamaRMSNorm, seed), head_of(vocabulary, scale=scale, seed=seed)
    hidden = magnitude * torch.randn(3, 2, DIM)
    never = torch.full((3, 1), 9.0)
    exact = read(ExactProbe(head, "top10", softcap), norm(hidden), never)
    thresholds = exact[:, :1] + near * torch.tensor([[-1.0], [0.0], [1.0]])
    folded = FoldedProbe(head, norm, ScalingNorm.of(norm, DIM), softcap)
    found = read(folded, hidden, thresholds)
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-5)
    assert torch.equal(found > thresholds, exact > thresholds)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e38])
def test_what_is_not_finite_is_as_the_whole_head_has_it(bad):
    norm, head, hidden = norm_of(LlamaRMSNorm), head_of(), torch.randn(3, 1, DIM)
    hidden[1, 0, 4] = bad
    never = torch.full((3, 1), 9.0)
    exact = read(ExactProbe(head, "top10"), norm(hidden), never)
    found = read(FoldedProbe(head, norm, ScalingNorm.of(norm, DIM)), hidden, never)
    torch.testing.assert_close(found, exact, equal_nan=True)


def test_folded_runs_the_whole_head_only_where_it_must():
    norm, head, runs = norm_of(LlamaRMSNorm), head_of(), []
    head.register_forward_hook(lambda *_: runs.append(1))
    hidden = torch.randn(2, 1, DIM)
    probe = FoldedProbe(head, norm, ScalingNorm.of(norm, DIM))
    found = read(probe, hidden, torch.full((2, 1), 9.0))
    assert not runs
    read(probe, hidden, found)
    assert len(runs) == 1


@pytest.mark.parametrize("kind", ["strict", "reuse"])
def test_a_small_head_takes_the_norm_over(kind):
    chosen = choose_probe(kind, head_of(), norm=norm_of(LlamaRMSNorm))
    assert isinstance(chosen.probe, FoldedProbe)
    assert (chosen.way, chosen.norms) == ("whole head with the norm in it", True)
    for options in ({}, {"norm": nn.LayerNorm(DIM)}):
        chosen = choose_probe(kind, head_of(), **options)
        assert (chosen.way, chosen.norms) == ("whole head", False)
    chosen = choose_probe(kind, nn.Linear(DIM, 90), norm=norm_of(LlamaRMSNorm))
    assert (chosen.way, chosen.norms) == ("whole head", False)


def test_reuse_takes_the_norm_over():
    norm, head = norm_of(LlamaRMSNorm), head_of(60_000)
    chosen = choose_probe("reuse", head, norm=norm)
    assert chosen.norms
    hidden = torch.randn(3, 1, DIM)
    later, never = hidden + 0.1 * torch.randn(3, 1, DIM), torch.full((3, 1), 9.0)
    exact = ExactProbe(head, "top10")
    for states, first in ((hidden, torch.arange(3)), (later, torch.arange(0))):
        waiting = torch.ones(3, 1, dtype=torch.bool)
        found = chosen.probe(states, never, waiting, first)
        torch.testing.assert_close(found, read(exact, norm(states), never), rtol=0, atol=1e-4)
    assert not choose_probe("strict", head, norm=norm).norms
