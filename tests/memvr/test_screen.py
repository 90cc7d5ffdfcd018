import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memvr_integrations.memvr import Screen, screen


@given(
    seed=st.integers(0, 10**6),
    dim=st.sampled_from([1, 2, 7, 64, 257]),
    spike=st.sampled_from([1.0, 30.0, 1e4, 1e8]),
    scale=st.sampled_from([1e-12, 1.0, 1e6]),
    fine=st.booleans(),
)
def test_no_logit_lies_above_its_bound(seed, dim, spike, scale, fine):
    random = torch.Generator().manual_seed(seed)
    weight, states = torch.randn(40, dim, generator=random), torch.randn(3, dim, generator=random)
    weight[3] = 0
    weight[4, 0] *= spike
    states[1, -1] *= spike
    states *= scale
    bias = torch.randn(40, generator=random)
    made = Screen(weight, bias)
    estimate, rounded = made.logits(states, fine=fine)
    true = states.double() @ weight.double().T + bias
    highest = made.highest(estimate, states, rounded).double()
    assert (highest + 1e-6 * bias.abs() >= true).all()


def test_an_estimate_is_near_and_a_fine_one_nearer():
    torch.manual_seed(0)
    weight, states = torch.randn(5000, 96), torch.randn(4, 96)
    made = Screen(weight, None)
    off = [(made.logits(states, fine=fine)[0] - states @ weight.T).std() for fine in (False, True)]
    assert off[1] < off[0] < 0.02 * (states @ weight.T).std()
    bounds = [
        (made.highest(*(found := made.logits(states, fine=fine))[:1], states, found[1]) - found[0])
        for fine in (False, True)
    ]
    assert (bounds[1] < bounds[0]).all()


@pytest.mark.parametrize("fine", [False, True])
def test_an_estimate_does_not_depend_on_the_batch(fine):
    torch.manual_seed(0)
    states = torch.randn(9, 40) * torch.logspace(-3, 3, 9)[:, None]
    made = Screen(torch.randn(321, 40), torch.randn(321))
    together, _ = made.logits(states, fine=fine)
    for row, state in enumerate(states):
        assert torch.equal(together[row], made.logits(state[None], fine=fine)[0][0])


def test_machines_without_the_product_have_no_screen(monkeypatch):
    def missing(*_):
        raise RuntimeError("not implemented for this packed parameter type")

    weight = torch.randn(4, 8)
    assert Screen.of(weight, None) is not None
    assert Screen.of(weight.to("meta"), None) is None
    monkeypatch.setattr(screen, "_product", lambda whole, packed: torch.zeros(2, 2))
    assert Screen.of(weight, None) is None
    monkeypatch.setattr(screen, "_product", missing)
    assert Screen.of(weight, None) is None
