"""The eight ways to ask an LLM in LlamaIndex, over the backend's queue."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.answers import Growing, to_chat, to_completion
from memvr_integrations.llama_index.llm.blocks import ImageDocument
from memvr_integrations.llama_index.llm.messages import question, to_messages
from memvr_integrations.llama_index.llm.settings import LLMSettings
from memvr_integrations.types import Message
from memvr_integrations.wire.retries import aretrying, retrying


class AnsweringLLM(LLMSettings):
    """Chat and completion, their streams, and both for asyncio."""

    @llm_chat_callback()
    def chat(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> ChatResponse:
        """Answer a conversation; `image_documents` are shown before its last user message.

        Raises:
            MemVRError: As `Backend.generate` does.
        """
        return self._answer(to_messages(messages, image_documents or ()), kwargs)

    @llm_chat_callback()
    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> ChatResponseGen:
        """`chat`, piece by piece; closing the generator stops the computing."""
        return self._stream(to_messages(messages, image_documents or ()), kwargs)

    @llm_chat_callback()
    async def achat(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> ChatResponse:
        """`chat` for asyncio; cancelling the task stops the computing."""
        return await self._aanswer(to_messages(messages, image_documents or ()), kwargs)

    @llm_chat_callback()
    async def astream_chat(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        """`stream_chat` for asyncio."""
        return self._astream(to_messages(messages, image_documents or ()), kwargs)

    @llm_completion_callback()
    def complete(
        self,
        prompt: str,
        *args: Sequence[ImageDocument] | bool,
        formatted: bool = False,
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> CompletionResponse:
        """Answer a prompt about images, given as the second argument or as `image_documents`.

        Raises:
            MemVRError: As `Backend.generate` does.
        """
        asked = question(prompt, _documents(args, image_documents))
        return to_completion(self._answer(asked, kwargs))

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        *args: Sequence[ImageDocument] | bool,
        formatted: bool = False,
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """`complete`, piece by piece; closing the generator stops the computing."""
        asked = question(prompt, _documents(args, image_documents))

        def told() -> CompletionResponseGen:
            with closing(self._stream(asked, kwargs)) as responses:
                yield from map(to_completion, responses)

        return told()

    @llm_completion_callback()
    async def acomplete(
        self,
        prompt: str,
        *args: Sequence[ImageDocument] | bool,
        formatted: bool = False,
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> CompletionResponse:
        """`complete` for asyncio; cancelling the task stops the computing."""
        asked = question(prompt, _documents(args, image_documents))
        return to_completion(await self._aanswer(asked, kwargs))

    @llm_completion_callback()
    async def astream_complete(
        self,
        prompt: str,
        *args: Sequence[ImageDocument] | bool,
        formatted: bool = False,
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """`stream_complete` for asyncio."""
        asked = question(prompt, _documents(args, image_documents))

        async def told() -> CompletionResponseAsyncGen:
            async with aclosing(self._astream(asked, kwargs)) as responses:
                async for response in responses:
                    yield to_completion(response)

        return told()

    # The backend's queue.

    def _answer(self, messages: Sequence[Message], options: dict[str, Any]) -> ChatResponse:
        request, engine = self._request(messages, options), self._engine()
        for attempt in retrying(self.max_retries, request.timeout):
            with attempt:
                [done] = engine.generate(request)
        return to_chat(done)

    async def _aanswer(self, messages: Sequence[Message], options: dict[str, Any]) -> ChatResponse:
        request, engine = self._request(messages, options), await self._aengine()
        async for attempt in aretrying(self.max_retries, request.timeout):
            with attempt:
                [done] = await engine.agenerate(request)
        return to_chat(done)

    def _stream(
        self, messages: Sequence[Message], options: dict[str, Any]
    ) -> Generator[ChatResponse, None, None]:
        request, engine, growing = self._request(messages, options), self._engine(), Growing()
        for attempt in retrying(self.max_retries, request.timeout):
            with attempt:
                chunks = engine.stream(request)
                first = next(chunks)  # what was given out can't be taken back: no try after it
        with closing(chunks):
            yield growing.add(first)
            for chunk in chunks:
                yield growing.add(chunk)

    async def _astream(
        self, messages: Sequence[Message], options: dict[str, Any]
    ) -> AsyncGenerator[ChatResponse, None]:
        request, growing = self._request(messages, options), Growing()
        engine = await self._aengine()
        async for attempt in aretrying(self.max_retries, request.timeout):
            with attempt:
                chunks = engine.astream(request)
                first = await anext(chunks)
        async with aclosing(chunks):
            yield growing.add(first)
            async for chunk in chunks:
                yield growing.add(chunk)


def _documents(
    given: tuple[Sequence[ImageDocument] | bool, ...], named: Sequence[ImageDocument] | None
) -> Sequence[ImageDocument]:
    """The images of a completion; core's own LLMs have `formatted` in their place."""
    lists = [one for one in given if not isinstance(one, bool)]
    if len(given) > 1 or (lists and named is not None):
        raise RequestError("Give the images once: as the second argument or as image_documents.")
    return lists[0] if lists else named or ()
