"""Ways to read a layer's entropy: the whole head, or less of it where that decides alike."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from memvr_integrations.memvr.config import Uncertainty
from memvr_integrations.memvr.folding import ScalingNorm
from memvr_integrations.memvr.screen import Screen
from memvr_integrations.memvr.uncertainty import TOP, capped, layer_entropy

# Two sums of the same float32 products give entropies that differ by far less.
_TIE = 1e-4

# So many tokens are computed exactly.
_KEEP = 256


class Probe(Protocol):
    """Turns hidden states of successive layers of one forward pass into entropies."""

    def begin(self) -> None:
        """Forget the forward pass before."""

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Tensor
    ) -> Tensor:
        """Read the entropies of one layer; those of decisions that don't wait may be anything.

        Args:
            hidden: (rows, decisions, dim), normed where the settings say so.
            thresholds: (rows, 1) float32, what the entropies are compared with.
            waiting: (rows, decisions) bool, whose entropy decides.
            first: The rows that this forward pass probes here for the first time: their numbers,
                (n,) long.

        Returns:
            (rows, decisions) float32.
        """


class ExactProbe:
    """Runs the whole head at every probed layer."""

    def __init__(self, head: nn.Module, form: Uncertainty, softcap: float | None = None) -> None:
        """Probe with `head`; `softcap` is the model's bound on its logits, if it has one."""
        self._head = head
        self._form = form
        self._softcap = softcap

    def begin(self) -> None:
        """Do nothing: layers do not depend on each other here."""

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Tensor
    ) -> Tensor:
        """Read the entropies (rows, decisions) of hidden states (rows, decisions, dim)."""
        return layer_entropy(capped(self._head(hidden), self._softcap), self._form)


class FoldedProbe:
    """Reads states before the final norm by a copy of the head that has the norm in it.

    It decides as the norm and the whole head do: where an entropy lies so near its threshold that
    rounding would decide, it runs those. For small heads on a CPU, where a tensor of ten numbers
    takes longer to reach than to reckon with.
    """

    def __init__(
        self, head: nn.Linear, norm: nn.Module, scaling: ScalingNorm, softcap: float | None = None
    ) -> None:
        """Probe with a float32 `head` without bias after a `norm`, which is a `scaling`."""
        self._weight = (head.weight * scaling.gains).detach().mT.contiguous()
        self._most = min(TOP, head.out_features)
        self._scaling, self._softcap = scaling, softcap
        self._exact, self._norm = ExactProbe(head, "top10", softcap), norm

    def begin(self) -> None:
        """Do nothing: layers do not depend on each other here."""

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Tensor
    ) -> Tensor:
        """Read the entropies (rows, decisions) of hidden states (rows, decisions, dim)."""
        rows, decisions, dim = hidden.shape
        flat = hidden.reshape(-1, dim)
        best: list[list[float]] = (flat @ self._weight).topk(self._most, dim=-1).values.tolist()
        lengths: list[float] = torch.linalg.vector_norm(flat, dim=-1).tolist()
        limits: list[list[float]] = thresholds.tolist()
        entropies = []
        for at, (logits, length) in enumerate(zip(best, lengths, strict=True)):
            entropy = self._entropy(logits, length * length / dim)
            if not abs(entropy - limits[at // decisions][0]) >= _TIE:
                return self._exact(self._norm(hidden), thresholds, waiting, first)
            entropies.append(entropy)
        return torch.tensor(entropies).view(rows, decisions)

    def _entropy(self, logits: Sequence[float], square: float) -> float:
        """The entropy of a state's best logits, largest first, before they are scaled; or NaN."""
        scale, cap = (square + self._scaling.epsilon) ** -0.5, self._softcap
        if not scale or not math.isfinite(logits[0]):
            return math.nan  # as it may be, or not: the whole head knows
        logits = [scale * logit for logit in logits]
        if cap is not None:
            logits = [cap * math.tanh(logit / cap) for logit in logits]
        below = [logit - logits[0] for logit in logits]
        shares = [math.exp(one) for one in below]
        total = sum(shares)
        mean = sum(share * one for share, one in zip(shares, below, strict=True) if share)
        return (math.log(total) - mean / total) / math.log(TOP)


class StrictProbe:
    """Screens in int8, and computes exactly every logit that could be among the ten largest.

    What is left out provably lies under the tenth, so the entropies are those of the whole head
    up to rounding. Where that can't be proven, or an entropy lies so near its threshold that
    rounding would decide, it runs the whole head.
    """

    def __init__(self, head: nn.Linear, screen: Screen, softcap: float | None = None) -> None:
        """Probe with a float32 `head` on a CPU and its `screen`."""
        self._head = head
        self._screen = screen
        self._softcap = softcap
        self._exact = ExactProbe(head, "top10", softcap)
        self._most = head.weight.shape[0] // 8
        self.proven = self.asked = 0

    def begin(self) -> None:
        """Do nothing: layers do not depend on each other here."""

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Tensor
    ) -> Tensor:
        """Read the entropies (rows, decisions) of hidden states (rows, decisions, dim)."""
        device = self._head.weight.device
        waiting, thresholds = waiting.to(device), thresholds.to(device)
        found, proven = self._screened(hidden.to(device)[waiting])
        entropy = thresholds.new_full(waiting.shape, torch.nan).masked_scatter(waiting, found)
        unproven = torch.zeros_like(waiting).masked_scatter(waiting, ~proven)
        unproven |= (entropy - thresholds).abs() < _TIE
        failed = int(unproven.sum())
        self.asked, self.proven = self.asked + len(found), self.proven + len(found) - failed
        if not failed:
            return entropy
        return torch.where(unproven, self._exact(hidden, thresholds, waiting, first), entropy)

    def _screened(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Entropies of states (n, dim), and which of them are proven: both (n,)."""
        highest = self._screen.highest(states)
        entropy, floor, proven = self._rescored(highest, states, _KEEP)
        if not proven.all():
            rest = (~proven).nonzero()[:, 0]
            counts = highest[rest].ge(floor[rest, None]).sum(1)
            rest, counts = rest[counts <= self._most], counts[counts <= self._most]
            if len(rest):
                keep = max(_KEEP, int(counts.max()))
                entropy[rest], _, proven[rest] = self._rescored(highest[rest], states[rest], keep)
        return entropy, proven

    def _rescored(
        self, highest: Tensor, states: Tensor, keep: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Entropies over the `keep` highest bounds, their tenth logits, and which are proven."""
        best = highest.topk(min(keep + 1, highest.shape[1]), dim=1)
        logits = _logits(*_taken(self._head, best.indices[:, :keep]), states)
        floor = logits.topk(min(TOP, logits.shape[1]), dim=1).values[:, -1]
        # Anything left out lies under the best of what was left out. What isn't a number counts
        # as high there, and proves nothing here.
        proven = best.values[:, -1] < floor
        return layer_entropy(capped(logits, self._softcap)), floor, proven


class ReuseProbe:
    """Takes a row's best tokens at its first probed layer, and reads later layers over those.

    Entropies are exact as long as a layer's ten best tokens are among them. Each row begins at
    its own first layer, so that its answer doesn't depend on the rows beside it.
    """

    def __init__(
        self,
        head: nn.Linear,
        screen: Screen | None = None,
        softcap: float | None = None,
        keep: int = _KEEP,
        scaling: ScalingNorm | None = None,
    ) -> None:
        """Probe with `head`, keeping its `keep` best tokens: by `screen`, or by the whole head.

        With a `scaling`, states come before the final norm, which is that one.
        """
        self._head = head
        self._scaling = scaling
        self._screen = screen
        self._softcap = softcap
        self._keep = min(keep, head.weight.shape[0])
        self._rows: Tensor | None = None
        self._offsets: Tensor | None = None

    def begin(self) -> None:
        """Forget the candidates of the forward pass before."""
        self._rows = self._offsets = None

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Tensor
    ) -> Tensor:
        """Read the entropies (rows, decisions) of hidden states (rows, decisions, dim)."""
        hidden = hidden.to(self._head.weight.device)
        if self._scaling is not None:
            hidden = hidden * self._scaling.scales(hidden)
        if len(first):
            self._begin_rows(hidden, first)
        assert self._rows is not None, "a row is probed before its first layer"
        flat = self._rows.flatten(0, 1)
        offsets = None if self._offsets is None else self._offsets.flatten(0, 1)
        logits = _logits(flat, offsets, hidden.flatten(0, 1))
        return layer_entropy(capped(logits, self._softcap)).view(hidden.shape[:2])

    def candidates(self, states: Tensor) -> Tensor:
        """The best tokens of states (..., dim), as (..., keep)."""
        if self._screen is None:
            logits: Tensor = self._head(states)
        else:
            flat = states.reshape(-1, states.shape[-1]).float()
            logits = self._screen.logits(flat).view(*states.shape[:-1], -1)
        return logits.topk(self._keep, dim=-1).indices

    def _begin_rows(self, hidden: Tensor, first: Tensor) -> None:
        first = first.to(hidden.device)
        everybody = len(first) == len(hidden)
        states, gains = hidden if everybody else hidden[first], None
        if self._scaling is not None:
            gains = self._scaling.gains
            states = states * gains
        weights, offsets = _taken(self._head, self.candidates(states))
        if gains is not None:
            weights = weights * gains
        if not everybody:
            weights = _placed(self._rows, weights, first, len(hidden))
            if offsets is not None:
                offsets = _placed(self._offsets, offsets, first, len(hidden))
        self._rows, self._offsets = weights, offsets


def _placed(before: Tensor | None, values: Tensor, rows: Tensor, count: int) -> Tensor:
    """Put the values of some rows beside those of rows that began earlier."""
    whole = values.new_zeros(count, *values.shape[1:]) if before is None else before
    whole[rows] = values
    return whole


def _taken(head: nn.Linear, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
    """The weights (..., dim) and biases (...) of tokens (...)."""
    weights = nn.functional.embedding(tokens, head.weight)
    return weights, None if head.bias is None else head.bias[tokens]


def _logits(weights: Tensor, offsets: Tensor | None, states: Tensor) -> Tensor:
    """Logits (n, k) of weights (n, k, dim), biases (n, k) and states (n, dim)."""
    logits = torch.bmm(weights, states.unsqueeze(-1)).squeeze(-1)
    return logits if offsets is None else logits + offsets
