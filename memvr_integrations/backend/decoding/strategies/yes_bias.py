"""The control "yes-bias": a constant on the first token of a yes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.types.decoding import YesBiasConfig


class YesBias(Method[YesBiasConfig]):
    """Add `bias` to the logits of all tokens that say yes, at an answer's first token."""

    needs_only_logits = True

    def check(self) -> None:
        """Refuse a model of which no token says yes."""
        self._yes_tokens()

    def scores(self, rows: Sequence[Row], own: Tensor, other: Tensor | None) -> Tensor:
        """Act on first tokens, and no others."""
        first = [at for at, row in enumerate(rows) if row.length == 0]
        if not first:
            return own
        biased, yes = own.clone(), torch.tensor(self._yes_tokens(), device=own.device)
        biased[torch.tensor(first, device=own.device)[:, None], yes] += self.config.bias
        return biased

    def _yes_tokens(self) -> list[int]:
        """The tokens with which an answer that says yes may begin."""
        host = self.host
        begins = {ids[0] for word in ("Yes", "yes", "YES") for ids in host.spellings(word)}
        words = {token: str(host.tokenizer.decode([token])) for token in sorted(begins)}
        found = [token for token, word in words.items() if word.strip().lower() == "yes"]
        if not found:
            raise UnsupportedModelError(
                f"No token of {host.name} says yes, so decoding='yes-bias' has nothing to raise. "
                "Leave that control out for this model."
            )
        return found
