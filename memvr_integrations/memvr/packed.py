"""The tokens of many sequences in one (tokens, dim), as serving engines run them, for a `Pass`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr.config import Scope
from memvr_integrations.memvr.formula import LayerFormula


class Packed:
    """Which tokens of a packed forward pass are whose; each row decides once, at its last token.

    A pass may hold whole prompts and decoded tokens side by side, so its step is never marked as
    a prompt's.
    """

    decisions = 1
    prompt = 0

    def __init__(
        self, spans: Sequence[tuple[int, int]], device: torch.device | str = "cpu"
    ) -> None:
        """Lay the rows of a plan into the tokens of one forward pass.

        Args:
            spans: By row, its first token and the one after its last. Tokens in no span belong to
                sequences without MemVR and stay as they are.
            device: Where the decoder runs.

        Raises:
            ConfigError: There is no span, one is empty, or two overlap.
        """
        if not spans:
            raise ConfigError("No row has tokens in this forward pass; run it without a `Pass`.")
        after = 0
        for start, end in sorted(spans):
            if start < after or end <= start:
                raise ConfigError(
                    f"The span ({start}, {end}) is empty or overlaps another. Give each row "
                    "tokens of its own, at least one."
                )
            after = end
        lengths: dict[int, list[int]] = {}
        for row, (start, end) in enumerate(spans):
            lengths.setdefault(end - start, []).append(row)

        def block(rows: Sequence[int], width: int) -> tuple[Tensor | None, Tensor]:
            at = [list(range(spans[row][1] - width, spans[row][1])) for row in rows]
            chosen = None if len(rows) == len(spans) else torch.tensor(rows, device=device)
            return chosen, torch.tensor(at, device=device)

        self._last = torch.tensor([end - 1 for _, end in spans], device=device)
        # Rows of one length are a rectangle, which the formula takes in one call.
        self._whole = [block(rows, width) for width, rows in lengths.items()]
        self._ends = [block(range(len(spans)), 1)]

    def deciding(self, states: Tensor) -> Tensor:
        """Pick the deciding tokens: (tokens, dim) gives (rows, 1, dim)."""
        return states[self._last][:, None]

    def retraced(
        self,
        hidden: Tensor,
        ffn_out: Tensor,
        triggered: Tensor,
        formula: LayerFormula,
        scope: Scope,
    ) -> Tensor:
        """Return an FFN's output, retraced in the rows that triggered.

        Shapes: `hidden` (the FFN's input), `ffn_out` and the result (tokens, dim); `triggered`
        (rows, 1) bool.
        """
        out = ffn_out.clone()
        for rows, at in self._ends if scope == "last" else self._whole:
            plain = ffn_out[at]
            edited = triggered if rows is None else triggered[rows]
            out[at] = formula(hidden[at], plain, edited, rows=rows)
        return out
