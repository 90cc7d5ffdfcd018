"""Runs one batch of rows through the model: pads, encodes, generates, tells every token."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from memvr_integrations.backend.answer import AnswerText
from memvr_integrations.backend.host import Host
from memvr_integrations.backend.jobs import Row
from memvr_integrations.backend.vision import Features, VisionEncoder, join
from memvr_integrations.memvr import Trace, layer_entropy, retracing
from memvr_integrations.types import TokenRecord


@torch.inference_mode()
def run_batch(host: Host, rows: Sequence[Row]) -> None:
    """Generate until every row is done; each tells its own tokens as they come."""
    for row in rows:
        row.begin(AnswerText(host.tokenizer, row.job.request.sampling.stop))
        assert row.job.prompt is not None
        row.restart(host.constraint(row.job, row.job.prompt))
    inputs = _inputs(host, rows)
    with _armed(host, rows) as trace, _own_defaults(host):
        run = _Run(host, rows, trace)
        generate: Callable[..., Tensor] = host.model.generate  # type: ignore[assignment]
        generate(
            **inputs,
            generation_config=GenerationConfig(
                max_new_tokens=max(run.limits),
                do_sample=False,
                num_beams=1,
                repetition_penalty=1.0,
                pad_token_id=host.pad,
                eos_token_id=sorted(host.end_tokens) or None,
                decoder_start_token_id=host.decoder_start,
                use_cache=True,
            ),
            logits_processor=LogitsProcessorList([_Choose(run)]),
            stopping_criteria=StoppingCriteriaList([_Watch(run)]),
        )


def _inputs(host: Host, rows: Sequence[Row]) -> dict[str, Tensor]:
    """What the model reads: prompts in one batch, and their pictures."""
    if host.vision is None:
        [prompt] = [row.job.prompt for row in rows if row.job.prompt is not None]
        return {
            name: value.to(
                host.model.device, host.model.dtype if value.is_floating_point() else None
            )
            for name, value in prompt.inputs.items()
        }
    inputs = _pad(host, rows)
    features = _features(host.vision, host, rows)
    if features:
        inputs["mm_encoder_outputs"] = {"image": join(features)}  # type: ignore[assignment]
    return inputs


def _features(vision: VisionEncoder, host: Host, rows: Sequence[Row]) -> list[Features]:
    """The features of all pictures, in the rows' order.

    Raises:
        RequestError: A prompt has another number of image tokens than its pictures became.
    """
    encoded = vision.encode([row.job.pictures for row in rows])
    for row, own in zip(rows, encoded, strict=True):
        assert row.job.prompt is not None
        tokens = sum(features.count for features in own)
        # The model itself compares the whole batch's, where two wrongs make a right.
        if tokens != row.job.prompt.image_tokens:
            raise host.lost(
                len(own), f"{tokens} visual tokens for {row.job.prompt.image_tokens} image tokens"
            )
    return [features for own in encoded for features in own]


@contextmanager
def _own_defaults(host: Host) -> Iterator[None]:
    """Keep the checkpoint's generation settings out: a request's own are all that counts.

    `generate` would fill in what a request leaves open, some of it (forced ends, penalties) in
    ways that make a row depend on its batch.
    """
    before = host.model.generation_config
    host.model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        host.model.generation_config = before


def _armed(host: Host, rows: Sequence[Row]) -> AbstractContextManager[Trace | None]:
    """MemVR for the rows that asked for it and have something to look at again."""
    configs = [row.job.config if row.job.pictures else None for row in rows]
    if not any(configs):
        return nullcontext()
    return retracing(host.model, configs)


def _pad(host: Host, rows: Sequence[Row]) -> dict[str, Tensor]:
    """The rows' prompts as one batch, padded on the left."""
    prompts = [row.job.prompt for row in rows if row.job.prompt is not None]
    longest = max(prompt.length for prompt in prompts)
    batch: dict[str, Tensor] = {}
    for name in {name: None for prompt in prompts for name in prompt.inputs}:
        parts = []
        for prompt in prompts:
            part = prompt.inputs.get(name)
            if name.endswith("grid_thw"):
                parts += [] if part is None else [part]
                continue
            if part is None:
                part = torch.zeros_like(prompt.inputs["input_ids"])
            fill = host.pad if name == "input_ids" else 0
            missing = longest - prompt.length
            parts.append(torch.nn.functional.pad(part, (missing, 0), value=fill))
        batch[name] = torch.cat(parts).to(host.model.device)
    return batch


class _Run:
    """The state of one running batch, shared by the two callbacks of `generate`."""

    def __init__(self, host: Host, rows: Sequence[Row], trace: Trace | None) -> None:
        self._host, self._rows, self._trace = host, rows, trace
        prompts = [row.job.prompt for row in rows if row.job.prompt is not None]
        longest = max(prompt.length for prompt in prompts)
        self._padding = [longest - prompt.length for prompt in prompts]
        self.limits = [host.limit(row.job, at) for row, at in zip(rows, prompts, strict=True)]

    def choose(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Every row's next token; scores that leave nothing else to choose."""
        chosen = scores.argmax(-1)
        for index, row in enumerate(self._rows):
            if row.done:
                continue
            allowed = row.constraint.allowed() if row.constraint else None
            if allowed is not None or not row.sampler.plain:
                chosen[index] = row.sampler.choose(
                    ids[index, self._padding[index] :], scores[index], allowed
                )
            if (again := row.replay()) is not None:
                chosen[index] = again
            if row.constraint:
                chosen[index] = row.constraint.take(int(chosen[index]), replayed=again is not None)
        self._logprobs = scores.gather(1, chosen[:, None])[:, 0] - scores.logsumexp(-1)
        self._entropies = layer_entropy(scores)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)

    def watch(self, ids: Tensor) -> Tensor:
        """Tell each row its token; says which rows are done."""
        step = self._trace.latest() if self._trace is not None else None
        tokens, logprobs = ids[:, -1].tolist(), self._logprobs.tolist()
        entropies = self._entropies.tolist()
        for index, row in enumerate(self._rows):
            if row.done:
                continue
            looked = step.rows[index] if step is not None else None
            record = TokenRecord(
                id=tokens[index],
                text="",
                logprob=logprobs[index],
                entropy=looked.entropy if looked else None,
                trigger_layer=looked.trigger_layer if looked else None,
                output_entropy=entropies[index],
            )
            row.take(
                record,
                end=tokens[index] in self._host.end_tokens,
                limit=self.limits[index],
                model=self._host.name,
            )
        return torch.tensor([row.done for row in self._rows], device=ids.device)


class _Choose(LogitsProcessor):
    def __init__(self, run: _Run) -> None:
        self._run = run

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self._run.choose(input_ids, scores)


class _Watch(StoppingCriteria):
    def __init__(self, run: _Run) -> None:
        self._run = run

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        return self._run.watch(input_ids)
