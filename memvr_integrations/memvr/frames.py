"""Which columns of a forward pass are prompt, and which take a decision of their own."""

from dataclasses import dataclass

import torch
from torch import Tensor


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
            return states[:, -self.decisions :]
        rows = torch.arange(states.shape[0], device=states.device)
        return states[rows, self.last.to(states.device)][:, None]
