"""The options of the LLM, and the eight ways to ask one in LlamaIndex."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    StrictInt,
    model_serializer,
)

from memvr_integrations.errors import ModelNotFoundError, RequestError
from memvr_integrations.grounding.options import CheckedOptions
from memvr_integrations.llama_index.llm.answers import Growing, answered, to_chat, to_completion
from memvr_integrations.llama_index.llm.blocks import ImageDocument
from memvr_integrations.llama_index.llm.checks import CheckedComponent
from memvr_integrations.llama_index.llm.messages import question, to_messages
from memvr_integrations.types import Message, Request

if TYPE_CHECKING:
    from memvr_integrations.explain import ExplainConfig, Explanation


class AnsweringLLM(CheckedComponent, CheckedOptions, FunctionCallingLLM):
    """The options; chat and completion, their streams, and both for asyncio."""

    context_window: StrictInt | None = Field(default=None, ge=1)

    @model_serializer(mode="wrap")
    def custom_model_dump(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """With the name of the model that answers: an engine itself can't be written."""
        data: dict[str, Any] = super().custom_model_dump(handler, info)
        return data if self.engine is None else data | {"model": self.engine.name}

    @property
    def metadata(self) -> LLMMetadata:
        """The model's limits, as far as they are known without loading it."""
        return LLMMetadata(
            context_window=self.context_window or self._known_window(),
            num_output=self.max_tokens,
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=self._answering({}),
        )

    def _known_window(self) -> int:
        try:
            return self._context({})
        except ModelNotFoundError:
            return DEFAULT_CONTEXT_WINDOW

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
        return self._respond(to_messages(messages, image_documents or ()), kwargs)

    @llm_chat_callback()
    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> ChatResponseGen:
        """`chat`, piece by piece; closing the generator stops the computing."""
        return self._responses(to_messages(messages, image_documents or ()), kwargs)

    @llm_chat_callback()
    async def achat(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> ChatResponse:
        """`chat` for asyncio; cancelling the task stops the computing."""
        return await self._arespond(to_messages(messages, image_documents or ()), kwargs)

    @llm_chat_callback()
    async def astream_chat(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        """`stream_chat` for asyncio."""
        return self._aresponses(to_messages(messages, image_documents or ()), kwargs)

    def explain(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        *,
        answer: ChatResponse | CompletionResponse | None = None,
        config: "ExplainConfig | None" = None,
        **kwargs: Any,
    ) -> "Explanation":
        """Show where in the images each word of an answer came from.

        `answer` is what `chat` or `complete` gave to the same messages and options, which is
        explained as it is. Without it the model is asked first.

        Raises:
            ConfigError: There is no image.
            RequestError: The answer carries no tokens (`logprobs=False`), or belongs to another
                model or prompt.
            UnsupportedModelError: The engine or the method can't explain this model.
        """
        request = self._request(to_messages(messages, image_documents or ()), kwargs)
        return self._explain(request, answered(answer), config, kwargs)

    async def aexplain(
        self,
        messages: Sequence[ChatMessage],
        image_documents: Sequence[ImageDocument] | None = None,
        *,
        answer: ChatResponse | CompletionResponse | None = None,
        config: "ExplainConfig | None" = None,
        **kwargs: Any,
    ) -> "Explanation":
        """`explain` for asyncio; cancelling the task stops the computing."""
        request = self._request(to_messages(messages, image_documents or ()), kwargs)
        return await self._aexplain(request, answered(answer), config, kwargs)

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
        return to_completion(self._respond(asked, kwargs))

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

        def texts() -> CompletionResponseGen:
            with closing(self._responses(asked, kwargs)) as responses:
                yield from map(to_completion, responses)

        return texts()

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
        return to_completion(await self._arespond(asked, kwargs))

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

        async def texts() -> CompletionResponseAsyncGen:
            async with aclosing(self._aresponses(asked, kwargs)) as responses:
                async for response in responses:
                    yield to_completion(response)

        return texts()

    # From LlamaIndex's words to the backend's, and back.

    def _request(self, messages: Sequence[Message], options: Mapping[str, Any]) -> Request:
        # Images are an argument of its own, and what is misspelt most.
        self._check_call(options, "image_documents")
        return self._to_request(messages, options)

    def _respond(self, messages: Sequence[Message], options: Mapping[str, Any]) -> ChatResponse:
        done = self._answer(self._request(messages, options), options)
        return to_chat(done, logprobs=self._option(options, "logprobs"))

    async def _arespond(
        self, messages: Sequence[Message], options: Mapping[str, Any]
    ) -> ChatResponse:
        done = await self._aanswer(self._request(messages, options), options)
        return to_chat(done, logprobs=self._option(options, "logprobs"))

    def _responses(
        self, messages: Sequence[Message], options: Mapping[str, Any]
    ) -> Generator[ChatResponse, None, None]:
        growing = Growing(logprobs=self._option(options, "logprobs"))
        request = self._request(messages, options)
        with closing(self._chunks(request, options)) as chunks:
            yield from map(growing.add, chunks)

    async def _aresponses(
        self, messages: Sequence[Message], options: Mapping[str, Any]
    ) -> AsyncGenerator[ChatResponse, None]:
        growing = Growing(logprobs=self._option(options, "logprobs"))
        request = self._request(messages, options)
        async with aclosing(await self._achunks(request, options)) as chunks:
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
