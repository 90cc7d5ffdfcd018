"""The next token of every row: strategies, grammars and samplers on the logits of a step."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Row, damaged
from memvr_integrations.backend.decoding.sampling import top_tokens
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.memvr import layer_entropy
from memvr_integrations.memvr.trace import RowTrace
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
    chosen = scores.argmax(-1)
    likeliest: list[int] = chosen.tolist()
    tokens = [
        token if row.done else _choice(host, row, own[index], scores[index], token)
        for index, (row, token) in enumerate(zip(rows, likeliest, strict=True))
    ]
    if tokens != likeliest:
        chosen = torch.tensor(tokens, device=scores.device)
    logprobs, tops = _logprobs(scores, chosen), top_tokens(scores, [r.top_logprobs for r in rows])
    if scores is not own:
        cut = logprobs.isneginf()
        logprobs = torch.where(cut, _logprobs(own, chosen), logprobs)
    numbers = torch.stack([logprobs, layer_entropy(own)]).tolist()
    for row, *known in zip(rows, tokens, *numbers, tops, traces, strict=True):
        if not row.done:
            _record(host, row, *known)
    return chosen


def _choice(host: Host, row: Row, own: Tensor, scores: Tensor, likeliest: int) -> int:
    allowed, token = row.allowed(scores.shape[-1], host.end_tokens), likeliest
    if allowed is not None or not row.sampler.plain:
        ruled_out = scores is not own and _nothing_left(scores, allowed)
        logits = own if ruled_out else scores
        token = row.sampler.choose(row.ids, logits, allowed, answered=row.length)
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
    )
    row.take(record, end=token in host.end_tokens, limit=row.most, model=host.name)


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
