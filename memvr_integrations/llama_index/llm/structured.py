"""Answers as objects of a pydantic class: the grammar leaves no other answer."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
)
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.program.streaming_utils import process_streaming_content_incremental
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import Model
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.blocks import ImageDocument
from memvr_integrations.llama_index.llm.checks import CheckedComponent

dispatcher = get_dispatcher(__name__)


def check_class(output_cls: object) -> None:
    """Refuse what no answer can be an object of."""
    if not (isinstance(output_cls, type) and issubclass(output_cls, BaseModel)):
        raise RequestError(f"output_cls={output_cls!r} is no class of pydantic; give one.")


def check_arguments(prompt: BasePromptTemplate, given: Mapping[str, object]) -> None:
    """Refuse what could be a picture and has no place: core would drop it without a word."""
    known = {*prompt.template_vars, *prompt.kwargs, *(prompt.template_var_mappings or ())}
    for name, value in given.items():
        plain = isinstance(value, str | int | float | bool | None)
        if name not in known and (not plain or "image" in name):
            raise RequestError(
                f"The prompt has no place for {name}=, a {type(value).__name__}. Pictures go into "
                "its messages (image_block), or into image_documents= of structured_predict, chat "
                "and complete."
            )


def read_object(output_cls: type[Model], response: ChatResponse) -> Model:
    """The object that a response holds."""
    found = output_cls.model_validate_json(response.message.content or "")
    dispatcher.event(LLMStructuredPredictEndEvent(output=found))
    return found


class GrowingObject:
    """The object in a stream: given out whenever it has grown."""

    def __init__(self, output_cls: type[BaseModel]) -> None:
        self._class = output_cls
        self._last: BaseModel | None = None

    def add(self, response: ChatResponse) -> Generator[Any, None, None]:
        """Take a response; the object as it is now, where it has grown."""
        if response.raw is not None:  # the last one: complete
            whole = read_object(self._class, response)
            if whole != self._last:
                yield whole
            return
        found = process_streaming_content_incremental(response, self._class, self._last)
        # Their class is made anew each time, so the objects never equal each other; and where a
        # piece ends between two fields, they know of none.
        before, now = self._last.model_dump() if self._last else {}, found.model_dump()
        lost = any(value is not None and now.get(name) is None for name, value in before.items())
        if self._last is None or (now != before and not lost):
            self._last = found
            dispatcher.event(LLMStructuredPredictInProgressEvent(output=found))
            yield found


class ObjectLLM(CheckedComponent, StructuredLLM):
    """What `as_structured_llm` gives: its answers are objects; images as `complete` takes them."""

    def complete(
        self, prompt: str, formatted: Sequence[ImageDocument] | bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """An object, as JSON and in `raw`, about images: the second argument, or by name."""
        answer: CompletionResponse = super().complete(prompt, **_with_images(formatted, kwargs))
        return answer

    async def acomplete(
        self, prompt: str, formatted: Sequence[ImageDocument] | bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """`complete` for asyncio."""
        given = _with_images(formatted, kwargs)
        answer: CompletionResponse = await super().acomplete(prompt, **given)
        return answer


def _with_images(
    formatted: Sequence[ImageDocument] | bool, options: dict[str, Any]
) -> dict[str, Any]:
    """Core's `formatted` stands where `MemVRMultiModalLLM.complete` takes images."""
    if isinstance(formatted, bool):
        return options
    if "image_documents" in options:
        raise RequestError("Give the images once: as the second argument or as image_documents.")
    return {**options, "image_documents": formatted}
