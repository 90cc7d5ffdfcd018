"""Asking an engine, and waiting for a place while its queue is full."""

import logging
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    BaseRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from memvr_integrations.errors import QueueFullError
from memvr_integrations.types import Chunk, Completion, Request
from memvr_integrations.types.engine import Engine

Tries = TypeVar("Tries", bound=BaseRetrying)

_log = logging.getLogger(__name__)
_PATIENCE = 300.0  # seconds, for a request without a timeout
_PAUSES = wait_random_exponential(multiplier=0.1, max=2)
_LEAST_PAUSE = 0.05  # seconds


def ask(engine: Engine, request: Request, retries: int) -> Completion:
    """The answer; while the queue is full, asked again at least `retries` times.

    That ends after the request's `timeout`, or after five minutes; `retries=0` asks once.
    """
    [done] = _tries(Retrying, request, retries)(engine.generate, request)
    return done


async def aask(engine: Engine, request: Request, retries: int) -> Completion:
    """`ask` for asyncio."""
    async for attempt in _tries(AsyncRetrying, request, retries):
        with attempt:
            [done] = await engine.agenerate(request)
    return done


def score(engine: Engine, request: Request, answers: Sequence[str], retries: int) -> list[float]:
    """How likely each answer is; while the queue is full, asked again as `ask` does."""
    return _tries(Retrying, request, retries)(engine.score, request, answers)


async def ascore(
    engine: Engine, request: Request, answers: Sequence[str], retries: int
) -> list[float]:
    """`score` for asyncio."""
    async for attempt in _tries(AsyncRetrying, request, retries):
        with attempt:
            logs = await engine.ascore(request, answers)
    return logs


def chunks(engine: Engine, request: Request, retries: int) -> Generator[Chunk, None, None]:
    """The answer's chunks; closing the generator stops the computing.

    Only the first chunk is tried again: what was given out can't be taken back.
    """
    for attempt in _tries(Retrying, request, retries):
        with attempt:
            stream = engine.stream(request)
            first = next(stream)
    with closing(stream):
        yield first
        yield from stream


async def achunks(engine: Engine, request: Request, retries: int) -> AsyncGenerator[Chunk, None]:
    """`chunks` for asyncio."""
    async for attempt in _tries(AsyncRetrying, request, retries):
        with attempt:
            stream = engine.astream(request)
            first = await anext(stream)
    async with aclosing(stream):
        yield first
        async for chunk in stream:
            yield chunk


def _tries(kind: type[Tries], request: Request, retries: int) -> Tries:
    stop, patience = stop_after_attempt(retries + 1), request.timeout or _PATIENCE

    def wait(state: RetryCallState) -> float:
        """No longer than what is left of the request's time."""
        left = patience - (state.seconds_since_start or 0.0)
        return min(_PAUSES(state), max(left, _LEAST_PAUSE))

    return kind(
        stop=stop & stop_after_delay(patience) if retries else stop,
        wait=wait,
        retry=retry_if_exception_type(QueueFullError),
        before_sleep=_log_wait,
        reraise=True,
    )


def _log_wait(state: RetryCallState) -> None:
    _log.info("The queue is full; attempt %d comes after a wait.", state.attempt_number + 1)
