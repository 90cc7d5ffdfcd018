"""The next token of every row: strategies, grammars and samplers on the logits of a step."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Row, damaged
from memvr_integrations.backend.decoding.sampling import top_tokens
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.memvr.trace import RowTrace
from memvr_integrations.memvr.uncertainty import TOP, entropy_of_best
from memvr_integrations.types import TokenRecord, TopToken


def choose(
    host: Host,
    rows: Sequence[Row],
    own: Tensor,
    scores: Tensor,
    traces: Sequence[RowTrace | None],
) -> Tensor:
    """Give each row its next token and its record; the tokens, (rows,).

    Where a strategy rules out all that a grammar allows, the model's own logits decide.

    Shapes: `own`, the model's logits, and `scores`, what strategies made of them, are
    (rows, vocabulary) in float32; they may be one tensor. `traces` say what MemVR did in each row.
    """
    best = own.topk(min(TOP, own.shape[-1]), dim=-1)
    chosen = scores.argmax(-1) if scores is not own or _tied(best.values) else best.indices[:, 0]
    likeliest: list[int] = chosen.tolist()
    tokens = [
        token if row.done else _choice(host, row, own[index], scores[index], token)
        for index, (row, token) in enumerate(zip(rows, likeliest, strict=True))
    ]
    if tokens != likeliest:
        chosen = torch.tensor(tokens, device=scores.device)
    tops = top_tokens(scores, [row.top_logprobs for row in rows])
    numbers = [*_scores(scores, chosen), entropy_of_best(best.values)]
    if scores is not own:
        numbers += _scores(own, chosen)
    for row, token, known, top, trace in zip(
        rows, tokens, torch.stack(numbers, 1).tolist(), tops, traces, strict=True
    ):
        if not row.done:
            score, total, entropy, *before = known
            logprob = _logprob(score, total)
            if logprob == -math.inf and before:
                logprob = _logprob(*before)  # what a strategy ruled out
            _record(host, row, token, logprob, entropy, top, trace)
    return chosen


def _choice(host: Host, row: Row, own: Tensor, scores: Tensor, likeliest: int) -> int:
    allowed, token = row.allowed(scores.shape[-1], host.end_tokens), likeliest
    if allowed is not None or not row.sampler.plain:
        ruled_out = scores is not own and _nothing_left(scores, allowed)
        logits = own if ruled_out else scores
        prompt = row.prompt.inputs["input_ids"][0]
        token = row.sampler.choose(prompt, logits, allowed, answer=row.answer)
    again = row.replay()
    if again is not None:
        token = again
    if row.constraint:
        token = row.constraint.take(token, replayed=again is not None)
    return token


def _record(
    host: Host,
    row: Row,
    token: int,
    logprob: float,
    entropy: float,
    top: tuple[TopToken, ...],
    trace: RowTrace | None,
) -> None:
    if math.isnan(logprob):
        row.job.fail(damaged(host.name))
        return
    record = TokenRecord(
        id=token,
        text="",
        logprob=logprob,
        entropy=trace.entropy if trace else None,
        trigger_layer=trace.trigger_layer if trace else None,
        output_entropy=entropy,
        top=top,
        entropies=trace.entropies if trace else {},
    )
    row.take(record, end=token in host.end_tokens, limit=row.most, model=host.name)


def _nothing_left(scores: Tensor, allowed: Tensor | None) -> bool:
    """Whether a strategy ruled out every token that a grammar allows."""
    if allowed is None:
        return False
    return not bool((allowed.to(scores.device) & ~scores.isneginf()).any())


def _tied(best: Tensor) -> bool:
    """Whether a row has several likeliest tokens, of which `argmax` takes the first."""
    return best.shape[1] > 1 and any(first == second for first, second in best[:, :2].tolist())


def _scores(scores: Tensor, chosen: Tensor) -> list[Tensor]:
    """The score of a token a row, and the logsumexp of all: both (rows,)."""
    # Unlike log_softmax, they are the same to the last bit beside other rows.
    return [scores.gather(1, chosen[:, None])[:, 0], scores.logsumexp(-1)]


def _logprob(score: float, total: float) -> float:
    """NaN where a score is NaN or infinite: else all other tokens would only look impossible."""
    return math.nan if total == math.inf else score - total
