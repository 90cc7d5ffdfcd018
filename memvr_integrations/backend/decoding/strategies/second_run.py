"""A second run of a model beside the one that decides: other inputs, a cache of its own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from memvr_integrations.backend.decoding.inputs import batch_inputs
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.logit_rules import (
    Rule,
    contrast,
    keep_plausible,
)
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.memvr.arming.calls import cache_in
from memvr_integrations.memvr.arming.hooks import suspended
from memvr_integrations.types.decoding import ContrastConfig


class SecondRun:
    """Follows the chosen tokens; MemVR doesn't act in it."""

    def __init__(self, host: Host, inputs: dict[str, Tensor], most: int) -> None:
        """Begin with `inputs` as `generate` takes them, for answers of at most `most` tokens."""
        self._host, self._inputs, self._most = host, inputs, most
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

    @torch.inference_mode()
    def logits(self, ids: Tensor) -> Tensor:
        """What this run says next, (rows, vocabulary) in float32, `ids` being the deciding run's.

        To be called at every token: at the first it reads its own prompt, later the newest token.
        """
        with suspended(self._host.model):
            if self._ids is None:
                self._prepare()
                return self._forward(self.ids, first=True)
            newest = ids[:, -1:].to(self.ids.device)
            self._ids = torch.cat([self.ids, newest], dim=1)
            return self._forward(self.ids, first=False)

    def _prepare(self) -> None:
        """Let `generate` lay out cache, masks and positions, and stop there."""

        def keep(model: object, input_ids: Tensor, **prepared: object) -> Tensor:
            for name in ("logits_processor", "stopping_criteria", "generation_config"):
                prepared.pop(name)
            self._ids, self._state = input_ids, prepared
            return input_ids

        with self._host.own_defaults():
            self._host.generate(
                **self._inputs,
                generation_config=GenerationConfig(
                    max_new_tokens=self._most, pad_token_id=self._host.pad, use_cache=True
                ),
                custom_generate=keep,
            )

    def _forward(self, ids: Tensor, *, first: bool) -> Tensor:
        # Typed as if they could be tensors; transformers' own loops call both of them like this.
        model: Any = self._host.model
        inputs = model.prepare_inputs_for_generation(
            ids,
            next_sequence_length=None if first else 1,
            is_first_iteration=first,
            **self._state,
        )
        out = model(**inputs, return_dict=True)
        self._state = model._update_model_kwargs_for_generation(out, self._state)
        last: Tensor = out.logits[:, -1]
        return last.float()


def second_run(
    host: Host, rows: Sequence[Row], pictures: Sequence[Sequence[Picture]] | None = None
) -> SecondRun:
    """A batch's rows once more, with their second prompts, and with other pictures if given."""
    own = [row.job.pictures for row in rows]
    prompts = [row.second_prompt for row in rows]
    inputs = batch_inputs(host, prompts, own if pictures is None else pictures)
    return SecondRun(host, inputs, max(row.most for row in rows))


def against(other: SecondRun, config: ContrastConfig, weight: float, *, log: bool = False) -> Rule:
    """The rule of all who contrast with a second run.

    `alpha` times its logits are taken from `weight` times the model's own; with `log` its
    log-probabilities.
    """

    def rule(ids: Tensor, own: Tensor) -> Tensor:
        logits = other.logits(ids)
        logits = logits.log_softmax(-1) if log else logits
        return keep_plausible(contrast(own, logits, weight, config.alpha), own, config.beta)

    return rule
