"""Chooses the next token of every row by that row's own parameters."""

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from memvr_integrations.types import SamplingParams


class RowSampler:
    """One row's choice: its penalty, its filters, its own random numbers.

    The generator lives on the CPU and gives one number a token, so that a seed gives the same
    answer on every device and in every batch.
    """

    def __init__(self, params: SamplingParams, seed: int) -> None:
        self._greedy = params.greedy
        self._random = torch.Generator().manual_seed(seed)
        self._filters = LogitsProcessorList()
        if params.repetition_penalty != 1:
            penalty = float(params.repetition_penalty)
            self._filters.append(RepetitionPenaltyLogitsProcessor(penalty))
        if params.greedy:
            return
        if params.temperature != 1:
            self._filters.append(TemperatureLogitsWarper(float(params.temperature)))
        if params.min_p > 0:
            self._filters.append(MinPLogitsWarper(params.min_p))
        if params.top_k > 0:
            self._filters.append(TopKLogitsWarper(params.top_k))
        if params.top_p < 1:
            self._filters.append(TopPLogitsWarper(params.top_p))

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken as it is."""
        return self._greedy and not self._filters

    def choose(self, ids: Tensor, logits: Tensor, allowed: Tensor | None = None) -> int:
        """The next token, one of those `allowed` if given.

        Shapes: `ids` (length,), the row's tokens so far without padding; `logits` (vocabulary,);
        `allowed` (vocabulary,) bool.
        """
        if allowed is not None:
            logits = logits.masked_fill(~allowed.to(logits.device), -torch.inf)
        scores: Tensor = self._filters(
            ids[None],  # type: ignore[arg-type]  # annotated for LongTensor
            logits[None].clone(),
        )[0]
        if self._greedy:
            return int(scores.argmax())
        chances = scores.softmax(-1).cpu()
        if bool(chances.isnan().any()):
            # Damaged logits, which the batch reports; or no token has a chance, and the grammar's
            # way out is taken whatever comes.
            return int(scores.argmax())
        return int(torch.multinomial(chances, 1, generator=self._random))
