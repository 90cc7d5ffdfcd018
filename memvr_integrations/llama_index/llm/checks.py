"""What components are given: options that exist, of the right kind, within their limits.

Core takes what it is given and fails later, or drops it.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from types import UnionType
from typing import ParamSpec, TypeVar, get_args

from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.llms.structured_llm import StructuredLLM
from pydantic import field_validator

from memvr_integrations.errors import ConfigError, check_options
from memvr_integrations.wire import options

Given = ParamSpec("Given")
Made = TypeVar("Made")


class KnownOptions(options.KnownOptions):
    """Of a pydantic component: an option that it has not is refused, and core's are checked."""

    @field_validator("callback_manager", mode="before", check_fields=False)
    @classmethod
    def _a_callback_manager(cls, value: object) -> object:
        if value is not None:
            check_kind("callback_manager", value, CallbackManager, "CallbackManager([...])")
        return value


def knows_its_options(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """Refuse keywords that a function has not, and say which one may have been meant."""
    known = list(_keywords(function))
    owner = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def checked(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        check_options(owner, kwargs, known)
        return function(*args, **kwargs)

    return checked


def _keywords(function: Callable[..., object]) -> Iterator[str]:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD:
            yield parameter.name
        for inner in get_args(parameter.annotation):  # of Unpack[...]
            yield from getattr(inner, "__annotations__", ())


def check_whole(name: str, value: object, *, least: int = 1, other: str = "") -> None:
    """Refuse what is no whole number from `least` on; `other` says what else might be given.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value!r} must be at least {least}, as a whole number{other}.")


def check_share(name: str, value: object) -> None:
    """Refuse what is no number from 0 to 1.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{name}={value!r} must be a number from 0 to 1.")


def check_text(name: str, value: object) -> None:
    """Refuse what is no text, or a blank one.

    Raises:
        ConfigError: It is.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name}={value!r} must be a text that is not empty.")


def check_all(name: str, values: object, kind: type, hint: str) -> None:
    """Refuse what is no list of objects of a class.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ConfigError(f"{name} is a {type(values).__name__}; give a list: [{hint}].")
    for value in values:
        check_kind(f"A part of {name}", value, kind, hint)


def check_kind(name: str, value: object, kind: type | UnionType, hint: str) -> None:
    """Refuse what is of another class; `hint` is what to give.

    Raises:
        ConfigError: It is.
    """
    if not isinstance(value, kind):
        shown = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
        raise ConfigError(f"{name}={shown} can't be used; give {hint}.")


def check_llm(llm: LLM) -> None:
    """Refuse an LLM that can't answer in words about images.

    Raises:
        ConfigError: It is none, no chat model, or writes objects.
    """
    check_kind("llm", llm, LLM, "MemVRMultiModalLLM(model=...)")
    if isinstance(llm, StructuredLLM):
        raise ConfigError(
            "A structured LLM writes objects, which hold no citations; ask it about the images of "
            "as_retriever() yourself."
        )
    if not llm.metadata.is_chat_model:
        raise ConfigError(
            f"{type(llm).__name__} is no chat model, which images need; give another llm=."
        )
