"""Chooses the next token of every row by that row's own parameters."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from memvr_integrations.types import SamplingParams, TopToken


class RowSampler:
    """One row's choice: its bias and penalties, its filters, its own random numbers.

    The generator lives on the CPU and gives one number a token, so that a seed gives the same
    answer on every device and in every batch.
    """

    def __init__(self, params: SamplingParams, seed: int) -> None:
        self._greedy = params.greedy
        self._random = torch.Generator().manual_seed(seed)
        # In vLLM's order: bias, repetition, frequency and presence, then temperature and filters.
        self._first, self._filters = LogitsProcessorList(), LogitsProcessorList()
        if params.logit_bias:
            biases: list[list[list[int] | float]]
            biases = [[[token], bias] for token, bias in params.logit_bias.items()]
            self._first.append(SequenceBiasLogitsProcessor(biases))
        if params.repetition_penalty != 1:
            penalty = float(params.repetition_penalty)
            self._first.append(RepetitionPenaltyLogitsProcessor(penalty))
        self._presence, self._frequency = params.presence_penalty, params.frequency_penalty
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
        return self._greedy and not (self._first or self._presence or self._frequency)

    def choose(
        self,
        prompt: Tensor,
        logits: Tensor,
        allowed: Tensor | None = None,
        *,
        answer: Sequence[int] = (),
    ) -> int:
        """The next token, one of those `allowed` if given.

        Shapes: `prompt` (length,), the row's tokens without padding, which those of its `answer`
        follow; `logits` (vocabulary,); `allowed` (vocabulary,) bool.
        """
        if allowed is not None:
            logits = logits.masked_fill(~allowed.to(logits.device), -torch.inf)
        if self.plain:
            return int(logits.argmax())
        prompt = prompt.to(logits.device)
        answered = prompt.new_tensor(answer)
        said = torch.cat([prompt, answered])[None]
        scores: Tensor = self._first(said, logits[None].clone())  # type: ignore[arg-type]  # a LongTensor
        if self._presence or self._frequency:
            counts = answered.bincount(minlength=len(logits))
            scores = scores - self._frequency * counts - self._presence * (counts > 0)
        scores = self._filters(said, scores)[0]  # type: ignore[arg-type]
        if self._greedy:
            return int(scores.argmax())
        chances = scores.softmax(-1).cpu()
        if bool(chances.isnan().any()):
            # Damaged logits, which the batch reports; or no token has a chance, and the grammar's
            # way out is taken whatever comes.
            return int(scores.argmax())
        return int(torch.multinomial(chances, 1, generator=self._random))


def top_tokens(scores: Tensor, wanted: Sequence[int]) -> list[tuple[TopToken, ...]]:
    """The likeliest tokens of each row, as many as it wants, their texts still empty.

    Shapes: `scores` (rows, vocabulary), the logits that `TokenRecord.logprob` is of.
    """
    most = min(max(wanted), scores.shape[-1])
    if not most:
        return [()] * len(wanted)
    values, ids = scores.topk(most)
    values = values - scores.logsumexp(-1, keepdim=True)
    return [
        tuple(
            TopToken(id=token, text="", logprob=value)
            for token, value in list(zip(*row, strict=True))[:count]
            if value > -math.inf  # what a strategy ruled out
        )
        for count, *row in zip(wanted, ids.tolist(), values.tolist(), strict=True)
    ]
