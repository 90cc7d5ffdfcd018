"""What each error of this package is elsewhere: a status of HTTP, a code, whether to try again.

LangChain's errors go by the code; `status` and `retryable` are for the server, which is to come.
"""

from dataclasses import dataclass

from memvr_integrations import errors


@dataclass(frozen=True, kw_only=True)
class Failure:
    """`status` as in HTTP, `code` as in OpenAI's errors; `retryable` where waiting may help."""

    status: int
    code: str
    retryable: bool = False


_FAILURES: dict[type[errors.MemVRError], Failure] = {
    errors.ContextLengthError: Failure(status=400, code="context_length_exceeded"),
    errors.RequestError: Failure(status=400, code="invalid_request"),
    errors.ImageError: Failure(status=400, code="invalid_image"),
    errors.ConfigError: Failure(status=400, code="invalid_option"),
    errors.UnsupportedModelError: Failure(status=400, code="unsupported_model"),
    # The request was understood and answered, and withheld as its own threshold has it: no fault of
    # the server, and asking the same again gives the same.
    errors.AbstentionError: Failure(status=422, code="abstained"),
    errors.ModelNotFoundError: Failure(status=404, code="model_not_found"),
    errors.RequestTimeoutError: Failure(status=408, code="timeout", retryable=True),
    errors.QueueFullError: Failure(status=429, code="queue_full", retryable=True),
    errors.BackendClosedError: Failure(status=503, code="backend_closed"),
    errors.MemVRError: Failure(status=500, code="model_failed"),
}


def failure_of(error: errors.MemVRError) -> Failure:
    """The entry of an error's class, or of the nearest one above it."""
    return next(_FAILURES[kind] for kind in type(error).__mro__ if kind in _FAILURES)
