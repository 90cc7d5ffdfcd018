"""What components are given: options that exist, and an LLM that can answer.

Core takes what it is given and fails later, or drops it.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar, get_args

from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.llms.structured_llm import StructuredLLM
from pydantic import field_validator, model_validator

from memvr_integrations.checks import check_kind, check_options
from memvr_integrations.errors import ConfigError
from memvr_integrations.wire.options import KnownOptions

Given = ParamSpec("Given")
Made = TypeVar("Made")


class CheckedComponent(KnownOptions):
    """Of a pydantic component: an option that it has not is refused, and core's are checked."""

    # Pydantic runs the "before" validators of a subclass first, so this one comes in time.
    @model_validator(mode="before")
    @classmethod
    def _without_the_class_name(cls, values: Any) -> Any:
        """Core's `to_dict` writes a class's name among its options; `from_dict` gives it back."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if name != "class_name"}

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


def check_llm(llm: LLM) -> None:
    """Refuse an LLM that can't answer in words about images."""
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
