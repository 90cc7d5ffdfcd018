"""A cheap estimate of a head's logits from an int8 copy of it, and how far off it can be."""

import warnings
from typing import Self

import torch
from torch import Tensor

# Pairs of products are added in 16 bits where a CPU lacks VNNI: 2 * 127 * 127 fits, more doesn't.
# Activations lie 64 above zero there, so they have this much to either side.
_STATE, _WEIGHT = 63, 127
_ZERO = 64
# A state whose largest value is so many times its usual one loses too much in 7 bits: what was
# rounded off it is multiplied as well.
_SPIKED = 16
_ROWS_AT_ONCE = 8192


class Screen:
    """An int8 copy of a head: its logits a quarter of the weights cheaper, and a bound on each.

    It takes a quarter of a float32 head's memory beside the head. Every state is rounded by its
    own values, so that an estimate doesn't depend on the other rows of a batch.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Copy a head's `weight` (vocabulary, dim); `of` asks first whether this machine can."""
        vocabulary, dim = weight.shape
        copied = torch.empty(vocabulary, dim, dtype=torch.int8)
        scales, lost, kept = (torch.empty(vocabulary) for _ in range(3))
        for start in range(0, vocabulary, _ROWS_AT_ONCE):
            at = slice(start, start + _ROWS_AT_ONCE)
            rows = weight[at].detach().float()
            scale = (rows.abs().amax(1) / _WEIGHT).clamp_min(torch.finfo(torch.float32).tiny)
            rounded = (rows / scale[:, None]).round().clamp(-_WEIGHT, _WEIGHT)
            near = rounded * scale[:, None]
            scales[at], copied[at] = scale, rounded.to(torch.int8)
            # The second part is more than float32 can lose in sums of `dim` products.
            lost[at] = (rows - near).norm(dim=1) + max(dim, 64) * 2.0**-22 * rows.norm(dim=1)
            kept[at] = near.norm(dim=1)
        self._packed = _packed(copied, scales)
        # One product with a length bounds both errors: the weights' is at most `loss` of it, which
        # for weights rounded worse than usual is made true by counting them longer.
        share = lost / kept.clamp_min(torch.finfo(torch.float32).tiny)
        self._loss = share.median().clamp_min(1e-6)
        self._lengths = torch.maximum(kept, lost / self._loss) * (1 + 1e-5)
        self._bias = None if bias is None else bias.detach().float()

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> Self | None:
        """Copy a head; None where this machine has no int8 product (it is for CPUs of x86)."""
        if weight.device.type != "cpu":
            return None
        try:
            _check_product()
        except (AttributeError, NotImplementedError, RuntimeError, ArithmeticError):
            return None
        return cls(weight, bias)

    def logits(self, states: Tensor) -> Tensor:
        """Estimate the logits (rows, vocabulary) of states (rows, dim)."""
        return self._estimate(states)[0]

    def highest(self, states: Tensor) -> Tensor:
        """Bound the logits (rows, vocabulary) of states (rows, dim) from above.

        A bound is NaN where a state or a weight is too large to have one.
        """
        estimate, length, rounded = self._estimate(states)
        return estimate.addcmul_(length * self._loss + rounded, self._lengths)

    def _estimate(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, the states' lengths, and how far the states were rounded: both (rows, 1)."""
        largest = states.abs().amax(1, keepdim=True)
        length = states.norm(dim=1, keepdim=True)
        scale = (largest / _STATE).clamp_min_(1e-30)
        whole = (states / scale).round_()
        estimate, left = _product(whole, self._packed).mul_(scale), states - whole * scale
        spiked = (largest * states.shape[1] ** 0.5 > _SPIKED * length).flatten()
        if spiked.any():
            finer = scale[spiked] / (2 * _STATE)
            rest = (left[spiked] / finer).round_().clamp_(-_STATE, _STATE)
            estimate[spiked] += _product(rest, self._packed) * finer
            left[spiked] -= rest * finer
        if self._bias is not None:
            estimate += self._bias
        return estimate, length, left.norm(dim=1, keepdim=True)


def _packed(copied: Tensor, scales: Tensor) -> object:
    # The type of the weights is on its way out of torch; the product has no other door yet. Where
    # it is gone, `Screen.of` says None.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zeros = torch.zeros(len(scales), dtype=torch.long)
        weight = torch._make_per_channel_quantized_tensor(copied, scales.double(), zeros, 0)
        packed: object = torch.ops.quantized.linear_prepack(weight, None)
    return packed


def _product(whole: Tensor, packed: object) -> Tensor:
    """Multiply whole numbers up to `_STATE` with a packed head: rows don't see each other."""
    product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
        whole, 1.0, _ZERO, packed
    )
    return product


def _check_product() -> None:
    """See that the product is exact at its limits.

    Raises:
        ArithmeticError: It is not.
        RuntimeError: This machine, or this torch, doesn't have it.
    """
    signs = torch.tensor([[1.0], [-1.0]]).expand(2, 64)
    packed = _packed((_WEIGHT * signs).to(torch.int8), torch.ones(2))
    if not torch.equal(_product(_STATE * signs, packed), _STATE * _WEIGHT * signs @ signs.T):
        raise ArithmeticError("The int8 product overflows.")
