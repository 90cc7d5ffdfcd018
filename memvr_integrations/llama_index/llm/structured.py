"""Answers as objects of a pydantic class: the grammar leaves no other answer."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.program.streaming_utils import process_streaming_content_incremental
from llama_index.core.program.utils import FlexibleModel
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import Model
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.blocks import ImageDocument
from memvr_integrations.llama_index.llm.calling import CallingLLM
from memvr_integrations.llama_index.llm.objects import ObjectLLM

dispatcher = get_dispatcher(__name__)


class StructuredLLM(CallingLLM):
    """`structured_predict`, its streams and `as_structured_llm`.

    Core's way by tools and quoted schemas is not taken.
    """

    @dispatcher.span
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        image_documents: Sequence[ImageDocument] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """An object of `output_cls`, filled by the model from a prompt and `image_documents`.

        Raises:
            RequestError: The class can't be kept while decoding, or does not fit max_tokens; or
                an argument may be a picture, and the prompt has no place for it.
            ValidationError: A validator of the class, which a grammar can't know, refuses it.
        """
        messages = self._begin(output_cls, prompt, prompt_args)
        options = _options(output_cls, image_documents, llm_kwargs)
        response = self.chat(messages, **options)
        return _read(output_cls, response)

    @dispatcher.span
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        image_documents: Sequence[ImageDocument] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """`structured_predict` for asyncio."""
        messages = self._begin(output_cls, prompt, prompt_args)
        options = _options(output_cls, image_documents, llm_kwargs)
        response = await self.achat(messages, **options)
        return _read(output_cls, response)

    @dispatcher.span
    def stream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        image_documents: Sequence[ImageDocument] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | FlexibleModel, None, None]:
        """The object as it grows: parts that are not written yet are None; the last is whole."""
        messages = self._begin(output_cls, prompt, prompt_args)
        options = _options(output_cls, image_documents, llm_kwargs)
        stream = self.stream_chat(messages, **options)
        growing = _Growing(output_cls)
        with closing(stream):
            for response in stream:
                yield from growing.add(response)

    @dispatcher.span
    async def astream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        image_documents: Sequence[ImageDocument] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """`stream_structured_predict` for asyncio."""
        messages = self._begin(output_cls, prompt, prompt_args)
        options = _options(output_cls, image_documents, llm_kwargs)
        stream = await self.astream_chat(messages, **options)
        growing = _Growing(output_cls)

        async def objects() -> AsyncGenerator[Model | FlexibleModel, None]:
            async with aclosing(stream):
                async for response in stream:
                    for one in growing.add(response):
                        yield one

        return objects()

    def as_structured_llm(self, output_cls: type[BaseModel], **kwargs: Any) -> ObjectLLM:
        """The same LLM, answering with objects of a class.

        Raises:
            RequestError: It is no class of pydantic.
        """
        _check_class(output_cls)
        return ObjectLLM(llm=self, output_cls=output_cls, **kwargs)

    def _begin(
        self, output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: dict[str, Any]
    ) -> Sequence[ChatMessage]:
        _check_class(output_cls)
        dispatcher.event(
            LLMStructuredPredictStartEvent(
                output_cls=output_cls, template=prompt, template_args=prompt_args
            )
        )
        check_arguments(prompt, prompt_args)
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))

    def _get_messages(self, prompt: BasePromptTemplate, **prompt_args: Any) -> list[ChatMessage]:
        check_arguments(prompt, prompt_args)
        messages: list[ChatMessage] = super()._get_messages(prompt, **prompt_args)
        return messages


def _check_class(output_cls: object) -> None:
    if not (isinstance(output_cls, type) and issubclass(output_cls, BaseModel)):
        raise RequestError(f"output_cls={output_cls!r} is no class of pydantic; give one.")


def check_arguments(prompt: BasePromptTemplate, given: Mapping[str, object]) -> None:
    """Refuse what could be a picture and would be dropped: core ignores arguments without a place.

    Raises:
        RequestError: There is one.
    """
    known = {*prompt.template_vars, *prompt.kwargs, *(prompt.template_var_mappings or ())}
    for name, value in given.items():
        plain = isinstance(value, str | int | float | bool | None)
        if name not in known and (not plain or "image" in name):
            raise RequestError(
                f"The prompt has no place for {name}=, a {type(value).__name__}. Pictures go into "
                "its messages (image_block), or into image_documents= of structured_predict, chat "
                "and complete."
            )


def _options(
    output_cls: type[BaseModel],
    documents: Sequence[ImageDocument] | None,
    llm_kwargs: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the chat is asked with."""
    if documents is None:
        return {"response_format": output_cls, **(llm_kwargs or {})}
    if "image_documents" in (llm_kwargs or {}):
        raise RequestError("Give the images once: as image_documents= or in llm_kwargs.")
    return {
        "response_format": output_cls,
        "image_documents": documents,
        **(llm_kwargs or {}),
    }


def _read(output_cls: type[Model], response: ChatResponse) -> Model:
    found = output_cls.model_validate_json(response.message.content or "")
    dispatcher.event(LLMStructuredPredictEndEvent(output=found))
    return found


class _Growing:
    """The object in a stream: given out whenever it has grown."""

    def __init__(self, output_cls: type[BaseModel]) -> None:
        self._class = output_cls
        self._last: BaseModel | None = None

    def add(self, response: ChatResponse) -> Generator[Any, None, None]:
        if response.raw is not None:  # the last one: complete
            whole = _read(self._class, response)
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
