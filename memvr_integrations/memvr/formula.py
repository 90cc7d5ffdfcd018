"""Blending visual evidence into the output of one feed-forward network (FFN).

Visual tokens serve as keys and values at once: what the hidden state matches is what it is given.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from memvr_integrations.memvr.config import Activation, Control

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "relu": functional.relu,
}


def retrace(
    hidden: Tensor,
    ffn_out: Tensor,
    visual: Tensor,
    ratio: Tensor,
    *,
    gain: Tensor,
    activation: Activation | None = None,
    positions: Tensor | None = None,
    edited: Tensor | None = None,
) -> Tensor:
    """Return `(1 - ratio) * FFN(x) + ratio * c * D(x)` with `D(x) = phi(x (gain Z)^T) Z`.

    `c` matches the mean magnitude of D to that of the FFN over a row's `positions`, so any factor
    on D cancels and `gain` matters under an activation alone. A row whose evidence is zero or not
    finite keeps its FFN output, and so does what is not `edited`.

    Shapes: `hidden` (the FFN's input) and `ffn_out` (rows, seq, dim); `visual` (rows, tokens, dim),
    where tokens of zeros are inert padding; `ratio` and `gain` (rows,), float32; `positions`
    (rows, seq) bool, None for all; `edited` (rows, 1 or seq) bool, None for all. The result has the
    dtype of `ffn_out`.
    """
    visual = visual.to(hidden.dtype)
    if activation is None and hidden.dtype == torch.float32:
        evidence = (hidden @ visual.mT) @ visual
    else:
        # The second gain cancels in c; it keeps half precision in range.
        evidence = (_match(hidden, visual, gain, activation) * _column(gain, hidden)) @ visual
    exact = torch.promote_types(ffn_out.dtype, torch.float32)
    plain, evidence = ffn_out.to(exact), evidence.to(exact)
    scale = _magnitude(plain, positions) / _magnitude(evidence, positions)
    usable = scale.log().isfinite()[:, None]  # neither zero nor infinite, and a number
    chosen = usable if edited is None else usable & edited
    blended = plain.lerp(scale[:, None, None] * evidence, ratio.to(exact)[:, None, None])
    return torch.where(chosen[..., None], blended, plain).to(ffn_out.dtype)


def dampen(ffn_out: Tensor, ratio: Tensor, *, edited: Tensor | None = None) -> Tensor:
    """Return `(1 - ratio) * FFN(x)`: what retracing does, less the evidence.

    Shapes: `ffn_out` (rows, seq, dim), `ratio` (rows,); `edited` (rows, 1 or seq) bool, None for
    all.
    """
    exact = torch.promote_types(ffn_out.dtype, torch.float32)
    damped = ((1 - ratio.to(exact))[:, None, None] * ffn_out.to(exact)).to(ffn_out.dtype)
    return damped if edited is None else torch.where(edited[..., None], damped, ffn_out)


def retrieval_weights(
    hidden: Tensor, visual: Tensor, *, gain: Tensor, activation: Activation | None = None
) -> Tensor:
    """Show where the evidence comes from: `|phi(x (gain Z)^T)|`, scaled to a sum of one a position.

    Shapes: `hidden` (rows, seq, dim), `visual` (rows, tokens, dim), `gain` (rows,); the result is
    (rows, seq, tokens), float32, zero on padding.
    """
    match = _match(hidden, visual.to(hidden.dtype), gain, activation).float().abs()
    return match / match.sum(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerFormula:
    """The formula at one layer: each row's visual tokens and strengths are filled in.

    Shapes: `visual` (rows, tokens, dim), `ratios` (rows, decisions), `gain` (rows,).
    """

    visual: Tensor
    ratios: Tensor
    gain: Tensor
    activation: Activation | None
    control: Control | None

    def __call__(
        self,
        hidden: Tensor,
        ffn_out: Tensor,
        edited: Tensor,
        *,
        decision: int = 0,
        positions: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Retrace what is `edited`.

        Shapes: as `retrace` has them; `rows` are the indices of the rows given, None for all.
        """
        visual, ratio, gain = self.visual, self.ratios[:, decision], self.gain
        if rows is not None:
            visual, ratio, gain = visual[rows], ratio[rows], gain[rows]
        if self.control == "damping":
            return dampen(ffn_out, ratio, edited=edited)
        return retrace(
            hidden,
            ffn_out,
            visual,
            ratio,
            gain=gain,
            activation=self.activation,
            positions=positions,
            edited=edited,
        )

    def weights(self, hidden: Tensor) -> Tensor:
        """Show where the evidence comes from, see `retrieval_weights`."""
        return retrieval_weights(hidden, self.visual, gain=self.gain, activation=self.activation)


def activated(activation: Activation | None, scores: Tensor) -> Tensor:
    """Apply phi to what hidden states and visual tokens match."""
    return scores if activation is None else _ACTIVATIONS[activation](scores)


def _match(hidden: Tensor, visual: Tensor, gain: Tensor, activation: Activation | None) -> Tensor:
    return activated(activation, (hidden * _column(gain, hidden)) @ visual.mT)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[:, None, None]


def _magnitude(values: Tensor, positions: Tensor | None) -> Tensor:
    # Counts are left out: they are the same in both magnitudes of a quotient.
    if positions is None:
        whole: Tensor = torch.linalg.vector_norm(values, 1, dim=(1, 2))
        return whole
    each: Tensor = torch.linalg.vector_norm(values, 1, dim=2)
    return each.masked_fill(~positions, 0.0).sum(-1)
