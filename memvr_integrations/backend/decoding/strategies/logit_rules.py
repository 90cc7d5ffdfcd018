"""From logits to logits: the two formulas that strategies share."""

import math

import torch
from torch import Tensor


def contrast(own: Tensor, other: Tensor, weight: float, push: float | Tensor) -> Tensor:
    """`weight own - push other`, and `own` where one of the two rules a token out; NaN stays NaN.

    Shapes: all (rows, vocabulary); `other` may know fewer tokens, the rest stays as it is; a
    tensor `push` is (rows, 1).
    """
    known = own[:, : other.shape[-1]]
    other = other[:, : own.shape[-1]].to(own)
    ruled_out = known.isinf() | other.isinf()
    mixed = torch.where(ruled_out, known, weight * known - push * other)
    return torch.cat([mixed, own[:, mixed.shape[-1] :]], dim=-1)


def keep_plausible(scores: Tensor, own: Tensor, beta: float) -> Tensor:
    """Rule out the tokens that the model itself finds less than `beta` times the likeliest.

    Shapes: all (rows, vocabulary).
    """
    if beta == 0:
        return scores
    least = own.max(-1, keepdim=True).values + math.log(beta)
    return scores.masked_fill(own < least, -torch.inf)
