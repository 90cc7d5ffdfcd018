"""Rows that run through one model together: their prompts are read, then a token a step."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import Cache

from memvr_integrations.backend.decoding.masks import StepMasks
from memvr_integrations.backend.decoding.slots import SlotCache, prompt_cache
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.models.vision_language import CACHE


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What reading some prompts left behind.

    Shapes: `logits` (prompts, vocabulary) float32, of what comes next; `prompts` (length,) each,
    their tokens; `positions` (..., prompts, 1), of the next token, None where the model counts
    itself.
    """

    logits: Tensor
    cache: Cache
    prompts: Sequence[Tensor]
    positions: Tensor | None


class Stream(Protocol):
    """Rows that decode together; `logits` are (rows, vocabulary) in float32."""

    def read(self, inputs: dict[str, Tensor], lengths: Sequence[int]) -> Reading:
        """Read prompts, padded on the left."""

    def join(self, reading: Reading, prompts: Sequence[int]) -> None:
        """Add a row for each of `prompts`, which may name one several times."""

    def leave(self, rows: Sequence[int]) -> list[int]:
        """Drop rows; for each that is left, which one it was."""

    def step(self, tokens: Tensor) -> Tensor:
        """Read a token a row, (rows,); what comes next."""


class SlotStream:
    """Rows that join and leave as they like."""

    def __init__(self, host: Host, masks: StepMasks) -> None:
        self._model, self._masks = host.model, masks
        self._cache: SlotCache | None = None
        self._positions: Tensor | None = None
        parameters = inspect.signature(self._model.forward).parameters
        self._counts = "position_ids" in parameters
        self._keeps = "logits_to_keep" in parameters

    def read(self, inputs: dict[str, Tensor], lengths: Sequence[int]) -> Reading:
        """Read prompts, padded on the left, as `generate` would."""
        # Typed as if they could be tensors; transformers' own loop calls both of them like this.
        model: Any = self._model
        given: dict[str, object] = {**inputs, CACHE: prompt_cache(model.config), "use_cache": True}
        ids = inputs["input_ids"]
        del given["input_ids"]
        if self._counts:
            positions = model._prepare_position_ids_for_generation(ids, given)
            given["position_ids"] = positions
        if len(set(lengths)) == 1:
            given["attention_mask"] = None
        if self._keeps:
            given["logits_to_keep"] = 1
        prepared = model.prepare_inputs_for_generation(ids, is_first_iteration=True, **given)
        out = model(**prepared, return_dict=True)
        counted = prepared.get("position_ids")
        return Reading(
            logits=out.logits[:, -1].float(),
            cache=prepared[CACHE],
            prompts=[row[-length:] for row, length in zip(ids, lengths, strict=True)],
            positions=None if counted is None else counted[..., -1:] + 1,
        )

    def join(self, reading: Reading, prompts: Sequence[int]) -> None:
        """Add a row for each of `prompts`, which may name one several times."""
        if self._cache is None:
            self._cache = SlotCache(self._model.config)
        self._cache.join(reading.cache, prompts, [reading.prompts[at] for at in prompts])
        if reading.positions is not None:
            new = reading.positions[..., prompts, :]
            old = self._positions
            self._positions = new if old is None else torch.cat([old, new], dim=-2)

    def leave(self, rows: Sequence[int]) -> list[int]:
        """Drop rows; for each that is left, which one it was."""
        assert self._cache is not None
        order = self._cache.leave(rows)
        if not order:
            self._cache = self._positions = None
        elif self._positions is not None:
            self._positions = self._positions[..., order, :]
        return order

    def step(self, tokens: Tensor) -> Tensor:
        """Read a token a row, (rows,); what comes next."""
        assert self._cache is not None
        given: dict[str, object] = {CACHE: self._cache, "use_cache": True}
        if self._positions is not None:
            given["position_ids"] = self._positions
            self._positions = self._positions + 1
        mask = self._masks.of(self._cache.lengths, tokens.device)
        out = self._model(input_ids=tokens[:, None], attention_mask=mask, **given)
        self._cache.advance()
        logits: Tensor = out.logits[:, -1]
        return logits.float()
