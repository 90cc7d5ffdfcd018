"""How unsure a layer is: the entropy of what the head would say from there, and what triggers."""

import math

import torch
from torch import Tensor

from memvr_integrations.memvr.config import Uncertainty

TOP = 10


def layer_entropy(logits: Tensor, form: Uncertainty = "top10") -> Tensor:
    """Measure the entropy of logits, 0 (sure) to 1 (any answer is as likely).

    Shapes: `logits` (..., vocabulary) gives (...), always float32. "top10" is the entropy of the
    softmax of the ten largest logits / ln 10; "vocabulary" that of all N / ln N. It is NaN where
    the logits are.
    """
    if form == "top10":
        best = logits.float().topk(min(TOP, logits.shape[-1]), dim=-1).values
        return entropy_of_best(best)
    return _entropy(logits.float(), logits.shape[-1])


def entropy_of_best(best: Tensor) -> Tensor:
    """Measure it of the ten largest logits: (..., 10) float32 gives (...).

    A smaller vocabulary has fewer, and still divides by ln 10, as the definition says.
    """
    return _entropy(best, TOP)


def _entropy(logits: Tensor, choices: int) -> Tensor:
    entropy: Tensor = torch.special.entr(logits.softmax(-1)).sum(-1) / math.log(choices)
    return entropy


def decide(entropy: Tensor, threshold: Tensor, waiting: Tensor) -> Tensor:
    """Say which waiting rows trigger: entropy strictly above the threshold; NaN never is.

    Shapes: all broadcast to (rows, ...); `waiting` and the result are bool. `threshold` must be
    made by `threshold_tensor` for the comparison to be exact.
    """
    return (entropy > threshold) & waiting


def threshold_tensor(thresholds: list[float]) -> Tensor:
    """Round thresholds down to float32, so that comparing float32 entropies with them is exact."""
    exact = torch.tensor(thresholds, dtype=torch.float64)
    rounded = exact.float()
    below = torch.nextafter(rounded, torch.tensor(-math.inf))
    return torch.where(rounded.double() > exact, below, rounded)


def capped(logits: Tensor, softcap: float | None) -> Tensor:
    """Bound logits to -softcap..softcap the way Gemma-like models do; None leaves them alone."""
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)
