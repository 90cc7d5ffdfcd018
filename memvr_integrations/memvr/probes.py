"""Ways to read a layer's entropy: the whole head, or less of it where that decides alike."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from memvr_integrations.memvr.config import Uncertainty
from memvr_integrations.memvr.screen import Screen
from memvr_integrations.memvr.uncertainty import TOP, capped, layer_entropy

# Two sums of the same float32 products give entropies that differ by far less.
_TIE = 1e-4
# A state whose largest value is so many times its usual one is rounded too coarsely in 7 bits.
_SPIKED = 24.0


class Probe(Protocol):
    """Turns hidden states of successive layers of one forward pass into entropies."""

    def begin(self) -> None:
        """Forget the forward pass before."""

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Sequence[int]
    ) -> Tensor:
        """Read the entropies of one layer; those of decisions that don't wait may be anything.

        Args:
            hidden: (rows, decisions, dim), normed where the settings say so.
            thresholds: (rows, 1) float32, what the entropies are compared with.
            waiting: (rows, decisions) bool, whose entropy decides.
            first: The rows that this forward pass probes here for the first time.

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
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Sequence[int]
    ) -> Tensor:
        """Read the entropies (rows, decisions) of hidden states (rows, decisions, dim)."""
        return layer_entropy(capped(self._head(hidden), self._softcap), self._form)


class StrictProbe:
    """Screens in int8, and computes exactly every logit that could be among the ten largest.

    What is left out provably lies under the tenth, so the entropies are those of the whole head
    up to rounding. Where too many could be among them, or an entropy lies so near its threshold
    that rounding would decide, it runs the whole head.
    """

    def __init__(self, head: nn.Linear, screen: Screen, softcap: float | None = None) -> None:
        """Probe with a float32 `head` on a CPU and its `screen`."""
        self._head = head
        self._screen = screen
        self._softcap = softcap
        self._exact = ExactProbe(head, "top10", softcap)
        self._limit = head.weight.shape[0] // 8
        self.proven = self.asked = 0

    def begin(self) -> None:
        """Do nothing: layers do not depend on each other here."""

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Sequence[int]
    ) -> Tensor:
        """Read the entropies (rows, decisions) of hidden states (rows, decisions, dim)."""
        device = self._head.weight.device
        waiting, thresholds = waiting.to(device), thresholds.to(device)
        found, doubtful = self._screened(hidden.to(device)[waiting])
        entropy = thresholds.new_full(waiting.shape, torch.nan).masked_scatter(waiting, found)
        unproven = torch.zeros_like(waiting).masked_scatter(waiting, doubtful)
        unproven |= (entropy - thresholds).abs() < _TIE
        failed = int(unproven.sum())
        self.asked, self.proven = self.asked + len(found), self.proven + len(found) - failed
        if not failed:
            return entropy
        return torch.where(unproven, self._exact(hidden, thresholds, waiting, first), entropy)

    def _screened(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Entropies of states (n, dim), and which of them mean nothing: both (n,)."""
        length = states.norm(dim=1)
        spiked = states.abs().amax(1) * states.shape[1] ** 0.5 > _SPIKED * length
        estimate, rounded = self._screen.logits(states, fine=bool(spiked.any()))
        best = estimate.topk(min(TOP, estimate.shape[1]), dim=1).indices
        floor = self._rescored(states, best).amin(1, keepdim=True)
        # What isn't a number counts as high, as it does in the whole head's ten largest.
        could = ~(self._screen.highest(estimate, states, rounded) < floor)
        counts = could.sum(1)
        unproven = (counts > self._limit) | ~length.isfinite()
        could &= ~unproven[:, None]
        logits = torch.full_like(estimate, -torch.inf)
        rows: list[int] = torch.where(unproven, 0, counts).tolist()
        for row, tokens in enumerate(could.nonzero()[:, 1].split(rows)):
            exact = self._rescored(states[row : row + 1], tokens[None])
            logits[row, tokens] = capped(exact[0], self._softcap)
        return layer_entropy(logits), unproven

    def _rescored(self, states: Tensor, tokens: Tensor) -> Tensor:
        """The head's logits of tokens (n, k) from states (n, dim), as (n, k)."""
        weights, offsets = _taken(self._head, tokens)
        return _logits(weights, states, offsets)


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
        keep: int = 256,
    ) -> None:
        """Probe with `head`, keeping its `keep` best tokens: by `screen`, or by the whole head."""
        self._head = head
        self._screen = screen
        self._softcap = softcap
        self._keep = min(keep, head.weight.shape[0])
        self._rows: Tensor | None = None
        self._offsets: Tensor | None = None

    def begin(self) -> None:
        """Forget the candidates of the forward pass before."""
        self._rows = self._offsets = None

    def __call__(
        self, hidden: Tensor, thresholds: Tensor, waiting: Tensor, first: Sequence[int]
    ) -> Tensor:
        """Read the entropies (rows, decisions) of hidden states (rows, decisions, dim)."""
        hidden = hidden.to(self._head.weight.device)
        if first:
            self._begin_rows(hidden, first)
        assert self._rows is not None, "a row is probed before its first layer"
        flat = self._rows.flatten(0, 1)
        offsets = None if self._offsets is None else self._offsets.flatten(0, 1)
        logits = _logits(flat, hidden.flatten(0, 1), offsets)
        return layer_entropy(capped(logits, self._softcap)).view(hidden.shape[:2])

    def candidates(self, states: Tensor) -> Tensor:
        """The best tokens of states (..., dim), as (..., keep)."""
        if self._screen is None:
            logits: Tensor = self._head(states)
        else:
            flat = states.reshape(-1, states.shape[-1]).float()
            logits = self._screen.logits(flat, fine=True)[0].view(*states.shape[:-1], -1)
        return logits.topk(self._keep, dim=-1).indices

    def _begin_rows(self, hidden: Tensor, first: Sequence[int]) -> None:
        everybody = len(first) == len(hidden)
        best = self.candidates(hidden if everybody else hidden[list(first)])
        weights, offsets = _taken(self._head, best)
        if not everybody:
            weights = _placed(self._rows, weights, first, len(hidden))
            if offsets is not None:
                offsets = _placed(self._offsets, offsets, first, len(hidden))
        self._rows, self._offsets = weights, offsets


def _placed(before: Tensor | None, values: Tensor, rows: Sequence[int], count: int) -> Tensor:
    """Put the values of some rows beside those of rows that began earlier."""
    whole = values.new_zeros(count, *values.shape[1:]) if before is None else before
    whole[list(rows)] = values
    return whole


def _taken(head: nn.Linear, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
    """The weights (..., dim) and biases (...) of tokens (...)."""
    weights = nn.functional.embedding(tokens, head.weight)
    return weights, None if head.bias is None else head.bias[tokens]


def _logits(weights: Tensor, states: Tensor, offsets: Tensor | None) -> Tensor:
    """Logits (n, k) of weights (n, k, dim) and states (n, dim)."""
    logits = torch.bmm(weights, states.unsqueeze(-1)).squeeze(-1)
    return logits if offsets is None else logits + offsets
