import pytest
import torch
from torch.nn import functional

from memvr_integrations.memvr import dampen, retrace, retrieval_weights

ROWS, SEQ, DIM, TOKENS = 3, 5, 16, 7


@pytest.fixture
def parts():
    random = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=random)

    hidden, ffn = draw(ROWS, SEQ, DIM), draw(ROWS, SEQ, DIM)
    ratio, gain = torch.tensor([0.1, 0.5, 1.0]), torch.tensor([0.3, 0.1, 0.2])
    return hidden, ffn, draw(ROWS, TOKENS, DIM), ratio, gain


def by_the_formula(hidden, ffn, visual, ratio, gain, phi, real):
    hidden, ffn, visual = hidden.double(), ffn.double(), visual.double()
    d = phi(hidden @ (gain * visual).T) @ visual
    c = ffn[real].abs().mean() / d[real].abs().mean()
    return ((1 - ratio) * ffn + ratio * c * d).float()


@pytest.mark.parametrize("activation", [None, "silu", "gelu", "relu"])
@pytest.mark.parametrize("padded", [False, True])
def test_the_formula_row_by_row(parts, activation, padded):
    hidden, ffn, visual, ratio, gain = parts
    real = torch.ones(ROWS, SEQ, dtype=torch.bool)
    if padded:
        real[0, :2], real[2, 3:] = False, False
    out = retrace(
        hidden,
        ffn,
        visual,
        ratio,
        gain=gain,
        activation=activation,
        positions=real if padded else None,
    )
    phi = getattr(functional, activation) if activation else lambda x: x
    for row in range(ROWS):
        expected = by_the_formula(
            hidden[row], ffn[row], visual[row], ratio[row].item(), gain[row].item(), phi, real[row]
        )
        torch.testing.assert_close(out[row], expected, rtol=0, atol=1e-5)


def test_the_gain_matters_under_an_activation_alone(parts):
    hidden, ffn, visual, ratio, gain = parts
    for activation, matters in ((None, False), ("silu", True)):
        one, other = (
            retrace(hidden, ffn, visual, ratio, gain=factor * gain, activation=activation)
            for factor in (1, 10)
        )
        assert ((one - other).abs().max() > 1e-2) == matters


def test_padding_of_the_memory_is_inert(parts):
    hidden, ffn, visual, ratio, gain = parts
    wider = functional.pad(visual, (0, 0, 0, 9))
    for activation in (None, "silu", "gelu"):
        one, other = (
            retrace(hidden, ffn, z, ratio, gain=gain, activation=activation)
            for z in (visual, wider)
        )
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_nothing_of_a_ratio_of_zero(parts):
    hidden, ffn, visual, _, gain = parts
    assert torch.equal(retrace(hidden, ffn, visual, torch.zeros(ROWS), gain=gain), ffn)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_useless_evidence_keeps_the_ffn(parts, value):
    hidden, ffn, visual, ratio, gain = parts
    visual[1] = value
    out = retrace(hidden, ffn, visual, ratio, gain=gain)
    assert torch.equal(out[1], ffn[1])
    assert not torch.equal(out[0], ffn[0])


def test_half_precision_stays_in_range_and_in_kind():
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 4, 512, generator=random)
    visual = 30 + 30 * torch.randn(1, 576, 512, generator=random)
    gain = 0.02 / visual.abs().mean((1, 2))
    args = (hidden, hidden.flip(-1), visual)
    exact = retrace(*args, torch.tensor([0.5]), gain=gain)
    half = retrace(*(x.half() for x in args), torch.tensor([0.5]), gain=gain)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=0.02)


def test_damping_adds_no_evidence(parts):
    _, ffn, _, ratio, _ = parts
    torch.testing.assert_close(dampen(ffn, ratio), (1 - ratio)[:, None, None] * ffn)


def test_retrieval_weights_point_at_the_token_that_matches():
    visual = torch.eye(4)[None]
    hidden = torch.tensor([[[0.0, 0.0, -3.0, 1.0]]])
    weights = retrieval_weights(hidden, visual, gain=torch.ones(1))
    assert weights.tolist() == [[[0.0, 0.0, 0.75, 0.25]]]
    assert retrieval_weights(hidden * 0, visual, gain=torch.ones(1)).sum() == 0
