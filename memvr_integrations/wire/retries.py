"""Waiting for a place while the queue is full; for integrations only."""

from tenacity import (
    AsyncRetrying,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from memvr_integrations.errors import QueueFullError

_FULL = retry_if_exception_type(QueueFullError)
_LATER = wait_random_exponential(multiplier=0.1, max=2)
_PATIENCE = 300.0  # seconds


def retrying(times: int, patience: float | None) -> Retrying:
    """For `for attempt in ...: with attempt:`; tries at least `times` more, for some seconds.

    `times=0` tries once. `patience` is five minutes where None is given.
    """
    return Retrying(stop=_stop(times, patience), wait=_LATER, retry=_FULL, reraise=True)


def aretrying(times: int, patience: float | None) -> AsyncRetrying:
    """`retrying` for `async for`."""
    return AsyncRetrying(stop=_stop(times, patience), wait=_LATER, retry=_FULL, reraise=True)


def _stop(times: int, patience: float | None) -> stop_base:
    enough = stop_after_attempt(times + 1)
    return enough & stop_after_delay(patience or _PATIENCE) if times else enough
