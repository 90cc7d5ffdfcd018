"""What attention carried from the visual tokens to the text: recorded, and traced to a score.

Weights aren't kept by the kernels that models use, so they are made anew from queries and keys, of
one layer at a time and for the text after the pictures alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from memvr_integrations.errors import UnsupportedModelError

Score = Callable[[Tensor, Tensor], Tensor]
"""From weights and their gradients, both (heads, queries, tokens), to what counts of them."""


@dataclass(frozen=True, eq=False)
class Attended:
    """One call of attention: `query` (1, heads, queries, dim), `key` and `value` with keys."""

    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor
    mask: Tensor | None
    scale: float | None

    def reached(self, gradient: Tensor, queries: Tensor, columns: Tensor, score: Score) -> Tensor:
        """What `columns` of the keys gave to some positions, (tokens,).

        Args:
            gradient: Of `out`.
            queries: Positions in the sequence, those of this call count.
            columns: Positions of the visual tokens.
            score: What is summed over queries and averaged over heads.
        """
        keys, first = self.key.shape[2], self.key.shape[2] - self.query.shape[2]
        at = queries[(queries >= first) & (queries < keys)] - first
        heads = self.query.shape[1]
        query = self.query[0][:, at].float()
        key, value = (_repeated(one[0], heads) for one in (self.key, self.value))
        scale = self.query.shape[-1] ** -0.5 if self.scale is None else self.scale
        logits = (query @ key.float().mT) * scale
        hidden = torch.arange(keys, device=at.device) > (at + first)[:, None]
        logits = logits.masked_fill(hidden, -torch.inf)
        if self.mask is not None:
            logits = _masked(logits, self.mask, at, keys)
        weights = logits.softmax(-1)[..., columns]
        # The gradient of a weight: how well the value goes with what is wanted of the output.
        wanted = gradient[0][:, at].float() @ value[:, columns].float().mT
        return score(weights, wanted).mean(0).sum(0)


class _Recorder(TorchFunctionMode):
    """Notes each call of attention; models and kernels stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Attended] = []

    def __torch_function__(  # type: ignore[no-untyped-def]  # the signature is torch's
        self, func, types, args=(), kwargs=None
    ):
        out = func(*args, **(kwargs or {}))
        if func is functional.scaled_dot_product_attention:
            given = dict(zip(("query", "key", "value", "attn_mask"), args, strict=False))
            given.update(kwargs or {})
            self.calls.append(
                Attended(
                    query=given["query"].detach(),
                    key=given["key"].detach(),
                    value=given["value"].detach(),
                    out=out,
                    mask=given.get("attn_mask"),
                    scale=given.get("scale"),
                )
            )
        return out


@contextmanager
def recorded() -> Iterator[list[Attended]]:
    """Within the `with`, every call of torch's attention is noted."""
    recorder = _Recorder()
    with recorder:
        yield recorder.calls


def traced(
    calls: Sequence[Attended], score: Tensor, queries: Tensor, columns: Tensor, rule: Score
) -> Tensor:
    """What visual tokens gave to a score through attention, over all layers: (tokens,) float32.

    `score` is a number with a graph, which is kept for the next one.

    Raises:
        UnsupportedModelError: The model's attention isn't torch's, or gradients don't reach it.
    """
    grown = [call for call in calls if call.out.requires_grad]
    if not grown:
        raise UnsupportedModelError(
            "This model's attention can't be traced: it is computed by another kernel than torch's "
            "scaled_dot_product_attention. Load it with attention='sdpa', or explain with "
            "method='occlusion'."
        )
    gradients = torch.autograd.grad(
        score, [call.out for call in grown], retain_graph=True, allow_unused=True
    )
    total = torch.zeros(len(columns), device=columns.device)
    with torch.no_grad():
        for call, gradient in zip(grown, gradients, strict=True):
            if gradient is not None:
                total += call.reached(gradient, queries, columns, rule).to(total.device)
    return total


def _repeated(states: Tensor, heads: int) -> Tensor:
    return states.repeat_interleave(heads // len(states), 0) if len(states) != heads else states


def _masked(logits: Tensor, mask: Tensor, at: Tensor, keys: int) -> Tensor:
    rows = mask[0, :, :, :keys]
    rows = rows[:, at] if rows.shape[1] > 1 else rows
    if mask.dtype == torch.bool:
        return logits.masked_fill(~rows, -torch.inf)
    return logits + rows.float()
