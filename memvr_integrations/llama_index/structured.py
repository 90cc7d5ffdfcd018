"""Answers as objects of a pydantic class: the grammar leaves no other answer."""

from collections.abc import AsyncGenerator, Generator, Sequence
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

from memvr_integrations.llama_index.base import AnsweringLLM

dispatcher = get_dispatcher(__name__)


class StructuredLLM(AnsweringLLM):
    """`structured_predict` and its streams; core's way by tools and quoted schemas is not taken.

    `as_structured_llm` comes here too.
    """

    @dispatcher.span
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """An object of `output_cls`, filled by the model.

        Raises:
            RequestError: The class can't be kept while decoding, or does not fit max_tokens.
            ValidationError: A validator of the class, which a grammar can't know, refuses it.
        """
        messages = self._begin(output_cls, prompt, prompt_args)
        response = self.chat(messages, response_format=output_cls, **llm_kwargs or {})
        return _read(output_cls, response)

    @dispatcher.span
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """`structured_predict` for asyncio."""
        messages = self._begin(output_cls, prompt, prompt_args)
        response = await self.achat(messages, response_format=output_cls, **llm_kwargs or {})
        return _read(output_cls, response)

    @dispatcher.span
    def stream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | FlexibleModel, None, None]:
        """The object as it grows: parts that are not written yet are None; the last is whole."""
        messages = self._begin(output_cls, prompt, prompt_args)
        stream = self.stream_chat(messages, response_format=output_cls, **llm_kwargs or {})
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
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """`stream_structured_predict` for asyncio."""
        messages = self._begin(output_cls, prompt, prompt_args)
        stream = await self.astream_chat(messages, response_format=output_cls, **llm_kwargs or {})
        growing = _Growing(output_cls)

        async def objects() -> AsyncGenerator[Model | FlexibleModel, None]:
            async with aclosing(stream):
                async for response in stream:
                    for one in growing.add(response):
                        yield one

        return objects()

    def _begin(
        self, output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: dict[str, Any]
    ) -> Sequence[ChatMessage]:
        dispatcher.event(
            LLMStructuredPredictStartEvent(
                output_cls=output_cls, template=prompt, template_args=prompt_args
            )
        )
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))


def _read(output_cls: type[Model], response: ChatResponse) -> Model:
    found = output_cls.model_validate_json(response.message.content or "")
    dispatcher.event(LLMStructuredPredictEndEvent(output=found))
    return found


class _Growing:
    """The object in a stream: given out whenever it has changed."""

    def __init__(self, output_cls: type[BaseModel]) -> None:
        self._class = output_cls
        self._last: BaseModel | None = None

    def add(self, response: ChatResponse) -> Generator[Any, None, None]:
        if response.raw is not None:  # the last one: complete
            yield _read(self._class, response)
            return
        found = process_streaming_content_incremental(response, self._class, self._last)
        # Their class is made anew each time, so the objects never equal each other.
        if self._last is None or found.model_dump() != self._last.model_dump():
            self._last = found
            dispatcher.event(LLMStructuredPredictInProgressEvent(output=found))
            yield found
