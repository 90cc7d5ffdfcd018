"""A forward pass as (rows, width): which columns are prompt, and which decide for themselves."""

from dataclasses import dataclass

import torch
from torch import Tensor

from memvr_integrations.memvr.config import Scope
from memvr_integrations.memvr.formula import LayerFormula


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """Which columns of one forward pass are prompt, and which take a decision of their own.

    A prompt decides once, at its last position; every later column decides for itself.

    Args:
        width: Columns of this forward.
        prompt: How many of them, from the left, end the prompt; 0 in a decoding step.
        real: (rows, prompt) bool, which of those are no padding; None where all are.
        last: (rows,), each row's last real prompt column; None where it is the prompt's last one.
    """

    width: int
    prompt: int = 0
    real: Tensor | None = None
    last: Tensor | None = None

    @property
    def decisions(self) -> int:
        """How many decisions each row takes in this forward."""
        return self.width - self.prompt + (self.prompt > 0)

    def deciding(self, states: Tensor) -> Tensor:
        """Pick the deciding positions: (rows, width, dim) gives (rows, decisions, dim)."""
        if self.last is None:
            # Slices cost as much as operations, and in a step there is nothing to leave out.
            return states if self.decisions == self.width else states[:, -self.decisions :]
        rows = torch.arange(states.shape[0], device=states.device)
        return states[rows, self.last.to(states.device)][:, None]

    def retraced(
        self,
        hidden: Tensor,
        ffn_out: Tensor,
        triggered: Tensor,
        formula: LayerFormula,
        scope: Scope,
    ) -> Tensor:
        """Return an FFN's output, retraced where a decision triggered.

        Shapes: `hidden` (the FFN's input), `ffn_out` and the result (rows, width, dim);
        `triggered` (rows, decisions) bool.
        """
        if self.width == 1 and not self.prompt:
            return formula(hidden, ffn_out, triggered)
        pieces: list[Tensor] = []
        start, decision = self.width - self.decisions, 0
        if self.prompt and (scope == "all" or self.last is not None):
            x, plain = hidden[:, : self.prompt], ffn_out[:, : self.prompt]
            pieces.append(self._prompt(x, plain, triggered[:, 0], formula, scope))
            start, decision = self.prompt, 1
        elif start:
            pieces.append(ffn_out[:, :start])
        for at in range(start, self.width):
            x, plain = hidden[:, at : at + 1], ffn_out[:, at : at + 1]
            edited = triggered[:, decision : decision + 1]
            pieces.append(formula(x, plain, edited, decision=decision))
            decision += 1
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def _prompt(
        self, x: Tensor, plain: Tensor, triggered: Tensor, formula: LayerFormula, scope: Scope
    ) -> Tensor:
        """Retrace a whole prompt; or its last position alone, which padding may follow."""
        chosen, edited = self.real, triggered[:, None]
        if scope == "last" and self.last is not None:
            columns = torch.arange(x.shape[1], device=x.device)
            chosen = columns == self.last.to(x.device)[:, None]
            edited = edited & chosen
        return formula(x, plain, edited, positions=None if chosen is None else chosen.to(x.device))
