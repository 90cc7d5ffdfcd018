"""How unsure a layer is: the entropy of what the head would say from there, and what triggers."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr.config import Uncertainty

_TOP = 10


def layer_entropy(logits: Tensor, form: Uncertainty = "top10") -> Tensor:
    """Measure the entropy of logits, 0 (sure) to 1 (any answer is as likely).

    Shapes: `logits` (..., vocabulary) gives (...), always float32. "top10" is the entropy of the
    softmax of the ten largest logits / ln 10; "vocabulary" that of all N / ln N. It is NaN where
    the logits are.
    """
    kept = logits.float()
    if form == "top10":
        # A smaller vocabulary still divides by ln 10, as the definition says.
        kept = kept.topk(min(_TOP, kept.shape[-1]), dim=-1).values
    choices = _TOP if form == "top10" else logits.shape[-1]
    entropy: Tensor = torch.special.entr(kept.softmax(-1)).sum(-1) / math.log(choices)
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


class Probe(Protocol):
    """Turns hidden states of successive layers of one forward pass into entropies."""

    def begin(self) -> None:
        """Forget the forward pass before."""

    def __call__(self, hidden: Tensor) -> Tensor:
        """Map hidden states (..., dim), normed where the settings say so, to entropies (...)."""


class ExactProbe:
    """Runs the whole head at every probed layer."""

    def __init__(self, head: nn.Module, form: Uncertainty, softcap: float | None = None) -> None:
        """Probe with `head`; `softcap` is the model's bound on its logits, if it has one."""
        self._head = head
        self._form = form
        self._softcap = softcap

    def begin(self) -> None:
        """Do nothing: layers do not depend on each other here."""

    def __call__(self, hidden: Tensor) -> Tensor:
        """Map hidden states (..., dim) to entropies (...)."""
        return layer_entropy(capped(self._head(hidden), self._softcap), self._form)


class CandidateProbe:
    """Runs the whole head at the first probed layer, then only the rows of its best tokens.

    Entropies of later layers are exact as long as their ten best tokens are among those.
    """

    def __init__(self, head: nn.Module, softcap: float | None = None, keep: int = 1024) -> None:
        """Probe with `head`, keeping its `keep` best tokens of the first probed layer.

        Raises:
            ConfigError: The head has no floating-point `weight` in memory to take rows of.
        """
        weight = getattr(head, "weight", None)
        if not isinstance(weight, Tensor) or weight.is_meta or not weight.is_floating_point():
            raise ConfigError(
                f"probe='candidates' needs a head with floating-point weights in memory, not "
                f"{type(head).__name__}'s packed or offloaded ones. Pass probe='exact'."
            )
        self._head = head
        self._weight = weight
        bias = getattr(head, "bias", None)
        self._bias = bias if isinstance(bias, Tensor) else None
        self._softcap = softcap
        self._keep = min(keep, weight.shape[0])
        self._rows: Tensor | None = None
        self._offsets: Tensor | None = None

    def begin(self) -> None:
        """Forget the candidates of the forward pass before."""
        self._rows = self._offsets = None

    def __call__(self, hidden: Tensor) -> Tensor:
        """Map hidden states (..., dim) to entropies (...)."""
        if self._rows is None:
            logits: Tensor = self._head(hidden)
            best = logits.topk(self._keep, dim=-1).indices
            self._rows = self._weight[best]
            self._offsets = None if self._bias is None else self._bias[best]
        else:
            logits = (self._rows @ hidden.to(self._rows.device).unsqueeze(-1)).squeeze(-1)
            logits = logits if self._offsets is None else logits + self._offsets
        return layer_entropy(capped(logits, self._softcap))


def capped(logits: Tensor, softcap: float | None) -> Tensor:
    """Bound logits to -softcap..softcap the way Gemma-like models do; None leaves them alone."""
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)
