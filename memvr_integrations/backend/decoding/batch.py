"""Runs one batch of rows through the model: pads, encodes, generates, reports every token."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from memvr_integrations.backend.decoding.answer import AnswerText
from memvr_integrations.backend.decoding.inputs import batch_inputs
from memvr_integrations.backend.decoding.jobs import Row, damaged
from memvr_integrations.backend.decoding.sampling import top_tokens
from memvr_integrations.backend.decoding.strategies import answered_whole, decoding_rule
from memvr_integrations.backend.decoding.strategies.logit_rules import Rule
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.memvr import Trace, VisualMemory, layer_entropy, retracing
from memvr_integrations.types import TokenRecord


@torch.inference_mode()
def run_batch(host: Host, rows: Sequence[Row]) -> None:
    """Generate until every row is done; each reports its own tokens as they come."""
    for row in rows:
        sampling = row.job.request.sampling
        row.begin(AnswerText(host.tokenizer, sampling.stop, whole_until=sampling.min_tokens))
        row.restart(row.job.constraint(host, row.prompt))
    if answered_whole(host, rows):
        return
    prompts, pictures = [row.prompt for row in rows], [row.job.pictures for row in rows]
    inputs = batch_inputs(host, prompts, pictures)
    with _armed(host, rows) as trace, decoding_rule(host, rows) as rule, host.own_defaults():
        run = _Run(host, rows, trace, rule)
        host.generate(
            **inputs,
            generation_config=GenerationConfig(
                max_new_tokens=max(row.most for row in rows),
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


def _armed(host: Host, rows: Sequence[Row]) -> AbstractContextManager[Trace | None]:
    """MemVR for the rows that asked for it and have something to retrace."""
    configs = [row.job.config if row.job.pictures else None for row in rows]
    if not any(configs):
        return nullcontext()
    return retracing(host.model, configs, memory=_other_images(host, rows))


def _other_images(host: Host, rows: Sequence[Row]) -> VisualMemory | None:
    """What the control "shuffled" retraces; None where each row retraces its own images."""
    if host.vision is None or not any(row.job.evidence for row in rows):
        return None
    encoded = host.vision.encode([row.job.evidence for row in rows])
    return VisualMemory.from_rows(
        [
            [tokens.reshape(-1, tokens.shape[-1]) for one in own for tokens in one.tokens]
            for own in encoded
        ]
    )


class _Run:
    """The state of one running batch, shared by the two callbacks of `generate`."""

    def __init__(
        self, host: Host, rows: Sequence[Row], trace: Trace | None, rule: Rule | None
    ) -> None:
        self._host, self._rows, self._trace, self._rule = host, rows, trace, rule
        longest = max(row.prompt.length for row in rows)
        self._padding = [longest - row.prompt.length for row in rows]

    def choose(self, ids: Tensor, own: Tensor) -> Tensor:
        """Every row's next token; scores that leave nothing else to choose.

        Where a strategy rules out all that a grammar allows, the model's own logits decide.
        """
        scores = self._rule(ids, own) if self._rule else own
        chosen = scores.argmax(-1)
        for index, row in enumerate(self._rows):
            if row.done:
                continue
            allowed = row.allowed(scores.shape[-1], self._host.end_tokens)
            if allowed is not None or not row.sampler.plain:
                ruled_out = self._rule is not None and _nothing_left(scores[index], allowed)
                chosen[index] = row.sampler.choose(
                    ids[index, self._padding[index] :],
                    (own if ruled_out else scores)[index],
                    allowed,
                    answered=row.length,
                )
            if (again := row.replay()) is not None:
                chosen[index] = again
            if row.constraint:
                chosen[index] = row.constraint.take(int(chosen[index]), replayed=again is not None)
        self._logprobs = _logprobs(scores, chosen)
        if self._rule is not None:
            cut = self._logprobs.isneginf()
            self._logprobs = torch.where(cut, _logprobs(own, chosen), self._logprobs)
        self._tops = top_tokens(scores, [row.top_logprobs for row in self._rows])
        self._entropies = layer_entropy(own)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)

    def watch(self, ids: Tensor) -> Tensor:
        """Give each row its token; says which rows are done."""
        step = self._trace.latest() if self._trace is not None else None
        tokens, logprobs = ids[:, -1].tolist(), self._logprobs.tolist()
        entropies = self._entropies.tolist()
        for index, row in enumerate(self._rows):
            if row.done:
                continue
            if math.isnan(logprobs[index]):
                row.job.fail(damaged(self._host.name))
                continue
            probed = step.rows[index] if step is not None else None
            record = TokenRecord(
                id=tokens[index],
                text="",
                logprob=logprobs[index],
                entropy=probed.entropy if probed else None,
                trigger_layer=probed.trigger_layer if probed else None,
                output_entropy=entropies[index],
                top=self._tops[index],
            )
            row.take(
                record,
                end=tokens[index] in self._host.end_tokens,
                limit=row.most,
                model=self._host.name,
            )
        return torch.tensor([row.done for row in self._rows], device=ids.device)


def _nothing_left(scores: Tensor, allowed: Tensor | None) -> bool:
    """Whether a strategy ruled out every token that a grammar allows."""
    if allowed is None:
        return False
    return not bool((allowed.to(scores.device) & ~scores.isneginf()).any())


def _logprobs(scores: Tensor, chosen: Tensor) -> Tensor:
    """Log-probabilities of a token a row; NaN where any of the row's scores is NaN or infinite."""
    total = scores.logsumexp(-1)
    # Else every token but the infinite one would only look impossible.
    total = total.masked_fill(total.isposinf(), torch.nan)
    return scores.gather(1, chosen[:, None])[:, 0] - total


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
