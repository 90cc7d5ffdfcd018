"""What must hold of an answer among many callers: it is the one that its request has alone."""

import math
from collections.abc import Iterator

from asks import Ask
from calling import Heard, Pieces

from memvr_integrations.backend import Completion
from memvr_integrations.errors import RequestTimeoutError

# How far log-probabilities may be apart; one beyond 10 has rounding errors in proportion.
CLOSE, SHARE = 1e-4, 1e-5


def faults(ask: Ask, heard: Heard, alone: Heard | None) -> list[str]:
    """All that was wrong with a call, each in a sentence; `alone` is None where it isn't known."""
    found = list(_by_itself(ask, heard))
    if alone is not None and not found:
        found += _beside(heard, alone)
    about = f"request {ask.number} ({ask.way}"
    about += f", {ask.leaving})" if ask.leaving else ")"
    return [f"{about}: {sentence}" for sentence in found]


def _by_itself(ask: Ask, heard: Heard) -> Iterator[str]:
    if heard.broken:
        yield f"it broke: {heard.broken.strip()}"
    if ask.leaving is None and heard.left:
        yield "it ended as if its caller had left"
    timed_out = isinstance(heard.error, RequestTimeoutError)
    if timed_out and ask.request.timeout is None:
        yield "it timed out without a time-out"
    if ask.hurried and heard.end == "answered":
        yield f"it was answered within timeout={ask.request.timeout} s"
    for index, pieces in sorted(heard.pieces.items()):
        if (whole := pieces.whole) is not None:
            yield from _adds_up(index, pieces, whole)


def _adds_up(index: int, pieces: Pieces, whole: Completion) -> Iterator[str]:
    if pieces.text != whole.text:
        yield f"answer {index} streamed {pieces.text!r} and is {whole.text!r}"
    if pieces.ids != [token.id for token in whole.tokens]:
        yield f"answer {index} streamed other tokens than it has"
    if [pieces.calls[at] for at in sorted(pieces.calls)] != _calls(whole):
        yield f"answer {index} streamed other calls than it has"


def _beside(heard: Heard, alone: Heard) -> Iterator[str]:
    if alone.broken:
        yield f"alone it broke: {alone.broken.strip()}"
    elif heard.error is not None and not isinstance(heard.error, RequestTimeoutError):
        if heard.end != alone.end or str(heard.error) != str(alone.error):
            yield f"it ended with {heard.error!r}, alone with {alone.error or alone.end!r}"
    elif alone.error is not None:
        # Who left at once may not have heard of the refusal.
        if heard.end not in ("left", "RequestTimeoutError") or heard.pieces:
            yield f"it ended as {heard.end}, alone with {alone.error!r}"
    elif alone.whole is not None:
        expected = [alone.whole, *alone.whole.alternatives]
        if heard.whole is not None:
            got = [heard.whole, *heard.whole.alternatives]
            if len(got) != len(expected):
                yield f"{len(got)} answers came for n={len(expected)}"
            for index, (one, other) in enumerate(zip(got, expected, strict=False)):
                yield from _same(index, one, other)
        for index, pieces in sorted(heard.pieces.items()):
            yield from _begins(index, pieces, expected[index])


def _begins(index: int, pieces: Pieces, alone: Completion) -> Iterator[str]:
    if pieces.whole is not None:
        yield from _same(index, pieces.whole, alone)
    ids = [token.id for token in alone.tokens]
    if not alone.text.startswith(pieces.text) or ids[: len(pieces.ids)] != pieces.ids:
        yield f"answer {index} began {pieces.text!r} {pieces.ids}, alone {alone.text!r} {ids}"
    for at, (name, arguments) in pieces.calls.items():
        calls = _calls(alone)
        if at >= len(calls) or calls[at][0] != name or not calls[at][1].startswith(arguments):
            yield f"answer {index} began to call {name}({arguments}), alone {calls}"


def _same(index: int, one: Completion, other: Completion) -> Iterator[str]:
    for what in ("text", "finish_reason", "usage", "memvr", "decoding", "boxes", "model"):
        mine, theirs = getattr(one, what), getattr(other, what)
        if mine != theirs:
            yield f"answer {index} has {what}={mine!r}, alone {theirs!r}"
    if _calls(one) != _calls(other):
        yield f"answer {index} calls {_calls(one)}, alone {_calls(other)}"
    for at, (mine, theirs) in enumerate(zip(one.tokens, other.tokens, strict=False)):
        if (mine.id, mine.trigger_layer) != (theirs.id, theirs.trigger_layer):
            yield f"answer {index}, token {at} is {mine}, alone {theirs}"
            return
        if not _close(mine.logprob, theirs.logprob):
            yield f"answer {index}, token {at} has logprob {mine.logprob}, alone {theirs.logprob}"
            return
    if len(one.tokens) != len(other.tokens):
        yield f"answer {index} has {len(one.tokens)} tokens, alone {len(other.tokens)}"


def _close(one: float, other: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=SHARE, abs_tol=CLOSE)


def _calls(whole: Completion) -> list[tuple[str, str]]:
    """What is called, without the ids, which are random."""
    return [(call.name, call.arguments) for call in whole.tool_calls]
