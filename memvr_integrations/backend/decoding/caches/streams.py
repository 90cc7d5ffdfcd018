"""Rows that run through one model together: their prompts are read, then a token a step."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache

from memvr_integrations.backend.decoding.caches.masks import Mask, StepMasks
from memvr_integrations.backend.decoding.caches.slots import SlotCache, prompt_cache
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.models.vision_language import CACHE


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What reading some prompts left behind.

    Shapes: `logits` (prompts, vocabulary) float32, of what comes next; `prompts` (length,) each,
    their tokens, of which `shared` are the same in all and lie in the cache's first columns;
    `positions` (..., prompts, 1), of the next token, None where the model counts itself.
    """

    logits: Tensor
    cache: Cache
    prompts: Sequence[Tensor]
    positions: Tensor | None
    shared: int = 0


class Stream(Protocol):
    """Rows that decode together; `logits` are (rows, vocabulary) in float32."""

    def read(
        self,
        inputs: dict[str, Tensor],
        lengths: Sequence[int],
        *,
        real: Tensor | None,
        past: Cache | None = None,
        shared: int = 0,
    ) -> Reading:
        """Read prompts, padded on the left; `past` holds their first `shared` tokens.

        `real` says which of the positions after those are no padding, (prompts, width) bool.
        """

    def join(self, reading: Reading, prompts: Sequence[int]) -> None:
        """Add a row for each of `prompts`, which may name one several times."""

    def leave(self, rows: Sequence[int]) -> list[int]:
        """Drop rows; for each that is left, which one it was."""

    def step(self, tokens: Tensor) -> Tensor:
        """Read a token a row, (rows,); what comes next."""


class SlotStream:
    """Rows that join and leave as they like."""

    def __init__(self, host: Host, masks: StepMasks) -> None:
        self._model, self._masks, self._pad = host.model, masks, host.pad
        self._cache: SlotCache | None = None
        self._positions: Tensor | None = None
        parameters = inspect.signature(self._model.forward).parameters
        self._counts = "position_ids" in parameters
        self._keeps = "logits_to_keep" in parameters

    def read(
        self,
        inputs: dict[str, Tensor],
        lengths: Sequence[int],
        *,
        real: Tensor | None,
        past: Cache | None = None,
        shared: int = 0,
    ) -> Reading:
        """Read prompts, padded on the left, as `generate` would.

        `past` holds their first `shared` tokens, which all of them have in common; images that
        begin there are not among `inputs`. `real` says which of the positions after those are no
        padding, (prompts, width) bool; None: all.
        """
        # Typed as if they could be tensors; transformers' own loop calls both of them like this.
        model: Any = self._model
        given: dict[str, object] = {**inputs, "use_cache": True}
        ids = inputs["input_ids"]
        del given["input_ids"]
        if self._counts:
            given["position_ids"] = model._prepare_position_ids_for_generation(ids, given)
        prompts = [row[-length:] for row, length in zip(ids, lengths, strict=True)]
        given[CACHE] = prompt_cache(model.config) if past is None else past
        ids, given["attention_mask"] = ids[:, shared:], None
        if real is not None:
            # A column may hold a token of one row that is shared, and was read already.
            ids = ids.masked_fill(~real, self._pad)
            given["attention_mask"] = pad(real.long(), (shared, 0), value=1)
        if shared:
            given = {name: one for name, one in given.items() if not name.endswith("grid_thw")}
        if self._keeps:
            given["logits_to_keep"] = 1
        prepared = model.prepare_inputs_for_generation(ids, is_first_iteration=True, **given)
        out = model(**prepared, return_dict=True)
        counted = prepared.get("position_ids")
        return Reading(
            logits=out.logits[: len(lengths), -1].float(),
            cache=prepared[CACHE],
            prompts=prompts,
            positions=None if counted is None else counted[..., -1:] + 1,
            shared=shared,
        )

    def join(self, reading: Reading, prompts: Sequence[int]) -> None:
        """Add a row for each of `prompts`, which may name one several times."""
        if self._cache is None:
            self._cache = SlotCache(self._model.config)
        read = [reading.prompts[at] for at in prompts]
        self._cache.join(reading.cache, prompts, read, reading.shared)
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
        logits = self._forward(tokens, self._masks.of(self._cache.lengths, tokens.device))
        self.advance()
        return logits

    def reserve(self) -> int | None:
        """Make room for steps `within` it; None where this model or these rows have no such."""
        cache = self._cache
        if cache is None or self._positions is None or not (cache.attends and self._masks.fixed):
            return None
        return cache.reserve()

    @property
    def longest(self) -> int:
        """How long the longest row is."""
        return 0 if self._cache is None else self._cache.lengths.longest

    def within(self, room: int, tokens: Tensor) -> Tensor:
        """`step` in a static form: what it does on the device depends on the device alone.

        All that changes from step to step, these rows given, is read from tensors that stay where
        they are: `tokens`, lengths and positions. It counts nothing, so it may be repeated;
        `advance` does, as long as no row is longer than the `room` that was reserved.
        """
        assert self._cache is not None
        with self._cache.within(room):
            mask = self._masks.within(room, self._cache.lengths, tokens.device)
            return self._forward(tokens, mask)

    def advance(self) -> None:
        """Count the token that every row has just read."""
        assert self._cache is not None
        self._cache.advance()
        if self._positions is not None:
            self._positions += 1

    def _forward(self, tokens: Tensor, mask: Mask) -> Tensor:
        given: dict[str, object] = {CACHE: self._cache, "use_cache": True}
        if self._positions is not None:
            given["position_ids"] = self._positions
        out = self._model(input_ids=tokens[:, None], attention_mask=mask, **given)
        logits: Tensor = out.logits[:, -1]
        return logits.float()


def real_columns(lengths: Sequence[int], shared: int, device: torch.device | str) -> Tensor | None:
    """Which positions of prompts are no padding, which lies before what they don't share.

    Shapes: (prompts, width) bool; None where all are real.
    """
    if len(set(lengths)) == 1:
        return None
    own = torch.tensor(lengths, device=device)[:, None] - shared
    return torch.arange(max(lengths) - shared, 0, -1, device=device) <= own
