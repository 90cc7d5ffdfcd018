"""The backend's errors as LangChain's too, and retries of those that may pass."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core import exceptions
from tenacity import (
    AsyncRetrying,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from memvr_integrations.errors import (
    BackendClosedError,
    ContextLengthError,
    ImageError,
    MemVRError,
    ModelLoadError,
    ModelNotFoundError,
    QueueFullError,
    RequestError,
    RequestTimeoutError,
)

# LangChain's name for each; the first that fits counts. Older cores lack some of them.
_NAMES: tuple[tuple[type[MemVRError], str], ...] = (
    (ContextLengthError, "ContextOverflowError"),
    (RequestTimeoutError, "ModelTimeoutError"),
    (QueueFullError, "ModelRateLimitError"),
    (ModelNotFoundError, "ModelNotFoundError"),
    (RequestError, "ModelInvalidRequestError"),
    (ImageError, "ModelInvalidRequestError"),
    (ModelLoadError, "ModelError"),
    (BackendClosedError, "ModelError"),
    (MemVRError, "ModelError"),
)

_FULL = retry_if_exception_type(QueueFullError)
_LATER = wait_random_exponential(multiplier=0.2, max=5)


@contextmanager
def told_to_langchain() -> Iterator[None]:
    """Let errors be caught by this package's names and by LangChain's."""
    try:
        yield
    except MemVRError as error:
        name = next(name for ours, name in _NAMES if isinstance(error, ours))
        theirs = getattr(exceptions, name, exceptions.LangChainException)
        if isinstance(error, theirs):
            raise
        both = _as_both(type(error), theirs, error.args)
        raise both.with_traceback(error.__traceback__) from error.__cause__


def retrying(times: int) -> Retrying:
    """Tries again, a little later, while the queue is full."""
    return Retrying(stop=stop_after_attempt(times + 1), wait=_LATER, retry=_FULL, reraise=True)


def aretrying(times: int) -> AsyncRetrying:
    """`retrying` for `async for`."""
    return AsyncRetrying(stop=stop_after_attempt(times + 1), wait=_LATER, retry=_FULL, reraise=True)


def _as_both(
    ours: type[MemVRError], theirs: type[Exception], args: tuple[object, ...]
) -> Exception:
    return _both(ours, theirs)(*args)  # type: ignore[arg-type]  # mypy: a type has no hash


@functools.cache
def _both(ours: type[MemVRError], theirs: type[Exception]) -> type[Exception]:
    def reduce(error: Exception) -> tuple[object, ...]:
        # Under its name pickle would find the class of ours alone.
        return _as_both, (ours, theirs, error.args), error.__dict__

    described = {"__module__": ours.__module__, "__doc__": ours.__doc__, "__reduce__": reduce}
    return type(ours.__name__, (ours, theirs), described)
