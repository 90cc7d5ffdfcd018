"""Everything this package raises on purpose: one tree, one base class.

`except MemVRError` catches all of it. Each message names the value, the limit and the next step.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

__all__ = [
    "AbstentionError",
    "ArmingError",
    "BackendClosedError",
    "BenchmarkError",
    "ConfigError",
    "ContextLengthError",
    "GenerationError",
    "ImageError",
    "MemVRError",
    "MemVRWarning",
    "MemoryExhaustedError",
    "ModelLoadError",
    "ModelNotFoundError",
    "QueueFullError",
    "RequestError",
    "RequestTimeoutError",
    "UnsupportedModelError",
]


class MemVRError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(MemVRError, ValueError):
    """A setting is unknown, of the wrong type or outside its limits."""


class RequestError(MemVRError, ValueError):
    """A request cannot be answered as it stands: no message, too long a prompt, a wrong role."""


class ContextLengthError(RequestError):
    """The prompt is longer than the model can read."""


class ImageError(MemVRError, ValueError):
    """An image cannot be used; the message says which one and why."""


@contextmanager
def picture_named(message: int, role: str, picture: int) -> Iterator[None]:
    """Let an ImageError begin with the place of its picture in a conversation, from 1 on."""
    try:
        yield
    except ImageError as error:
        error.args = (f"message {message} ({role}), picture {picture}: {error}",)
        raise


class UnsupportedModelError(MemVRError, TypeError):
    """A model lacks the parts that MemVR needs; plain decoding may still work."""


class ArmingError(MemVRError, RuntimeError):
    """`retracing` cannot arm the model now, or cannot follow the forward pass it sees."""


class ModelNotFoundError(MemVRError, LookupError):
    """No catalog name, local directory or reachable hub id matches the model's name."""


class ModelLoadError(MemVRError, RuntimeError):
    """The model was found, but it could not be loaded as asked."""


class BackendClosedError(MemVRError, RuntimeError):
    """The backend was closed before or while the request ran."""


class QueueFullError(MemVRError, RuntimeError):
    """Too many requests wait already; try again later or raise the limit."""


class RequestTimeoutError(MemVRError, TimeoutError):
    """The request's `timeout` passed before its answer was complete."""


class MemoryExhaustedError(MemVRError, MemoryError):
    """The device ran out of memory even for a batch of one request."""


class BenchmarkError(MemVRError, ValueError):
    """A benchmark's files are missing or malformed, or answers don't belong to it."""


class GenerationError(MemVRError, RuntimeError):
    """The model failed in the middle of an answer; the cause is chained."""


class AbstentionError(MemVRError, RuntimeError):
    """The model was too unsure of its answer.

    `withheld` is the answer's text, `response` all of it in the framework's own form.
    """

    def __init__(
        self, withheld: str, unsureness: float, threshold: float, response: object = None
    ) -> None:
        super().__init__(
            f"The model was unsure of its answer {withheld!r}: {unsureness:.2f}, above "
            f"threshold={threshold}. Ask another way, show a clearer image, or raise the threshold."
        )
        self.withheld, self.unsureness, self.threshold = withheld, unsureness, threshold
        self.response = response

    def __reduce__(self) -> tuple[type[Self], tuple[str, float, float, object]]:
        """Pickle by what it was made of; an exception's default is its text."""
        return type(self), (self.withheld, self.unsureness, self.threshold, self.response)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for the end of an error message; empty when nothing that is known is near."""
    names = list(known)
    if name not in names and name.lower() in (one.lower() for one in names):
        name = next(one for one in names if one.lower() == name.lower())
    name = name.lower() if name.isupper() else name
    begun = [one for one in names if len(name) > 3 and one.startswith(name.rstrip("s"))]
    near = begun or difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


class MemVRWarning(UserWarning):
    """Something was done in another way than a reader would expect; nothing was lost."""
