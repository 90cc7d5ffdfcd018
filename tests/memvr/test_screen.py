import torch
from hypothesis import given
from hypothesis import strategies as st

from memvr_integrations.memvr import Screen, screen


@given(
    seed=st.integers(0, 10**6),
    dim=st.sampled_from([1, 2, 7, 64, 257]),
    spike=st.sampled_from([1.0, 30.0, 1e4, 1e8]),
    scale=st.sampled_from([1e-12, 1.0, 1e6]),
)
def test_no_logit_lies_above_its_bound(seed, dim, spike, scale):
    random = torch.Generator().manual_seed(seed)
    weight, states = torch.randn(40, dim, generator=random), torch.randn(3, dim, generator=random)
    weight[3] = 0
    weight[4, 0] *= spike
    states[1, -1] *= spike
    states *= scale
    bias = torch.randn(40, generator=random)
    made = Screen(weight, bias)
    true = states.double() @ weight.double().T + bias
    highest = made.highest(states).double()
    assert (highest + 1e-6 * bias.abs() >= true).all()


def test_an_estimate_is_near_even_where_one_value_towers():
    torch.manual_seed(0)
    weight, states = torch.randn(5000, 900), torch.randn(4, 900)
    states[1, 7] = 28 * 12  # rounded in 7 bits, the rest would vanish
    made = Screen(weight, None)
    true = states @ weight.T
    spread = true.std(1, keepdim=True)
    assert ((made.logits(states) - true).std(1, keepdim=True) < 0.03 * spread).all()
    assert ((made.highest(states) - true).abs() < 1.5 * spread).all()


def test_an_estimate_does_not_depend_on_the_batch():
    torch.manual_seed(0)
    states = torch.randn(9, 400) * torch.logspace(-3, 3, 9)[:, None]
    states[4:7, 5] *= 1000
    made = Screen(torch.randn(321, 400), torch.randn(321))
    together = made.logits(states)
    for row, state in enumerate(states):
        assert torch.equal(together[row], made.logits(state[None])[0])


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
