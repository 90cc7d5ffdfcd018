"""Rows that can't share a batch: `generate` lays out their masks and positions, as it always does.

For models that keep their past in a form of their own, and for searches that take tokens back.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from memvr_integrations.backend.decoding.caches.streams import Reading
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.memvr.arming.calls import cache_in


class OwnRun:
    """A prompt, or equal ones, read once and then continued together; a `Stream` of one."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ids: Tensor | None = None

    @property
    def ids(self) -> Tensor:
        """What was read so far, (rows, length)."""
        assert self._ids is not None
        return self._ids

    @property
    def _cache(self) -> Any:
        # Any of transformers' caches; they share no typed base that has all of their methods.
        return cache_in(self._state)

    def read(
        self,
        inputs: dict[str, Tensor],
        lengths: Sequence[int],
        *,
        real: object = None,
        past: object = None,
        shared: int = 0,
    ) -> Reading:
        """Read prompts of one length, from their first token on."""
        self._prepare(inputs)
        logits = self._forward(self.ids, first=True)
        return Reading(logits=logits, cache=self._cache, prompts=list(self.ids), positions=None)

    def join(self, reading: Reading, prompts: Sequence[int]) -> None:
        """What was read goes on; nothing else can come to it."""

    def leave(self, rows: Sequence[int]) -> list[int]:
        """The only row goes."""
        self._ids = None
        return []

    def step(self, tokens: Tensor) -> Tensor:
        """Read a token a row, (rows,); what comes next, (rows, vocabulary)."""
        self._ids = torch.cat([self.ids, tokens[:, None].to(self.ids.device)], dim=1)
        return self._forward(self.ids, first=False)

    def _prepare(self, inputs: dict[str, Tensor]) -> None:
        """Let `generate` lay out cache, masks and positions, and stop there."""

        def keep(model: object, input_ids: Tensor, **prepared: object) -> Tensor:
            for name in ("logits_processor", "stopping_criteria", "generation_config"):
                prepared.pop(name)
            # Some models hand on to a part of theirs.
            self._model, self._ids, self._state = model, input_ids, prepared
            return input_ids

        host = self._host
        with host.own_defaults():
            host.generate(
                **inputs,
                generation_config=GenerationConfig(
                    max_new_tokens=1,
                    pad_token_id=host.pad,
                    decoder_start_token_id=host.decoder_start,
                    use_cache=True,
                ),
                custom_generate=keep,
            )

    def _forward(self, ids: Tensor, *, first: bool) -> Tensor:
        # Typed as if they could be tensors; transformers' own loops call both of them like this.
        model: Any = self._model
        inputs = model.prepare_inputs_for_generation(
            ids,
            next_sequence_length=None if first else 1,
            is_first_iteration=first,
            **self._state,
        )
        out = model(**inputs, return_dict=True)
        self._state = model._update_model_kwargs_for_generation(
            out, self._state, is_encoder_decoder=model.config.is_encoder_decoder
        )
        last: Tensor = out.logits[:, -1]
        return last.float()
