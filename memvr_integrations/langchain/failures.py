"""The backend's errors as LangChain's too."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core import exceptions

from memvr_integrations.errors import MemVRError
from memvr_integrations.wire.failures import failure_of

_NAMES = {
    "context_length_exceeded": "ContextOverflowError",
    "invalid_request": "ModelInvalidRequestError",
    "invalid_image": "ModelInvalidRequestError",
    "invalid_option": "ModelInvalidRequestError",
    "model_not_found": "ModelNotFoundError",
    "timeout": "ModelTimeoutError",
    "queue_full": "ModelRateLimitError",
}


@contextmanager
def langchain_errors() -> Iterator[None]:
    """Let errors be caught by this package's names and by LangChain's."""
    try:
        yield
    except MemVRError as error:
        name = _NAMES.get(failure_of(error).code, "ModelError")
        # Older cores lack some of them.
        theirs = getattr(exceptions, name, exceptions.LangChainException)
        if isinstance(error, theirs):
            raise
        both = _as_both(type(error), theirs, _made_of(type(error), error))
        raise both.with_traceback(error.__traceback__) from error.__cause__


def _made_of(ours: type[MemVRError], error: Exception) -> tuple[object, ...]:
    """What an error was made of, which need not be its text alone."""
    args: tuple[object, ...] = ours.__reduce__(error)[1]  # type: ignore[assignment]
    return args


def _as_both(
    ours: type[MemVRError], theirs: type[Exception], args: tuple[object, ...]
) -> Exception:
    return _both(ours, theirs)(*args)  # type: ignore[arg-type]  # mypy: a type has no hash


@functools.cache
def _both(ours: type[MemVRError], theirs: type[Exception]) -> type[Exception]:
    def reduce(error: Exception) -> tuple[object, ...]:
        # Under its name pickle would find the class of ours alone.
        return _as_both, (ours, theirs, _made_of(ours, error)), error.__dict__

    described = {"__module__": ours.__module__, "__doc__": ours.__doc__, "__reduce__": reduce}
    return type(ours.__name__, (ours, theirs), described)
