"""`ChatMemVR`: LangChain's chat model over the shared backend."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Self

from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBinding
from pydantic import BaseModel, ConfigDict

from memvr_integrations.langchain.answers import answered, to_chunk, to_generation
from memvr_integrations.langchain.blocks import inlined, refers
from memvr_integrations.langchain.failures import langchain_errors
from memvr_integrations.langchain.settings import ChatSettings
from memvr_integrations.langchain.structured import Method, structured
from memvr_integrations.langchain.tools import openai_tool
from memvr_integrations.types import Chunk, Completion, Request
from memvr_integrations.types.decoding import read_decoding
from memvr_integrations.wire.tools import ToolChoice, to_choice, to_tools

if TYPE_CHECKING:
    from memvr_integrations.explain import ExplainConfig, Explanation

_LOG = logging.getLogger(__name__)


class ChatMemVR(ChatSettings):
    """A local vision chat model that retraces the image where it is unsure.

    Making one costs nothing: the weights come into memory at the first call, once for all
    objects that ask for the same model, and leave it with the last of them or with `unload()`.

    `model` is a catalog name, a folder or a hub id. `memvr=True` takes the model's preset, a
    `MemVRConfig` sets it, None decodes plainly. `decoding` is a strategy beside it, such as "vcd"
    or `VCDConfig(...)`. `temperature=0`, the default, is greedy. `image_policy` says which
    pictures may come in: an `ImagePolicy(allowed_hosts=..., image_dirs=...)` or a dict of its
    fields; None is the engine's own, which lets nothing be downloaded. `engine` takes a backend of
    your own instead of `model`.

    `abstain=True` withholds what the model was too unsure of, by the threshold that was measured
    on it; a number or `Abstaining(...)` sets it. Streams then wait for the whole answer, an unsure
    tool call never reaches its tool, and an unsure value of JSON becomes null where the schema
    lets it.

    Every answer says in `response_metadata["memvr"]` how unsure the model was and where it
    retraced, and in `response_metadata["logprobs"]` the same for each token.
    `explain(messages, answer)` shows where in the images it came from.
    """

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            done = self._answer(self._request(messages, stop, kwargs), kwargs)
        return self._result(done, kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            done = await self._aanswer(self._request(messages, stop, kwargs), kwargs)
        return self._result(done, kwargs)

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            model = self._caching(kwargs)
            if model._cache() is not None:
                messages = inlined(messages, self._policy())
        return super(ChatMemVR, model)._generate_with_cache(messages, stop, run_manager, **kwargs)

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            model = self
            if self._cache() is not None:
                # Which model it is may have to be read from its weights.
                model = await asyncio.to_thread(self._caching, kwargs)
            if model._cache() is not None and refers(messages):
                messages = await asyncio.to_thread(inlined, messages, self._policy())
        asked = super(ChatMemVR, model)._agenerate_with_cache
        return await asked(messages, stop, run_manager, **kwargs)

    def _cache(self) -> BaseCache | None:
        if self.cache is False:
            return None
        return self.cache if isinstance(self.cache, BaseCache) else get_llm_cache()

    def _caching(self, options: Mapping[str, Any]) -> Self:
        """Itself; or without a cache, where that may outlive what says which model this is."""
        cache = self._cache()
        if cache is None or self._identity(options).durable or isinstance(cache, InMemoryCache):
            return self
        _LOG.info("%s was built in memory: its answers are not cached", self._answering(options))
        return self.model_copy(update={"cache": False})

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with langchain_errors():
            request = self._request(messages, stop, kwargs)
            with closing(self._chunks(request, kwargs)) as chunks:
                for chunk in chunks:
                    yield self._chunk(chunk, kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with langchain_errors():
            request = self._request(messages, stop, kwargs)
            async with aclosing(await self._achunks(request, kwargs)) as chunks:
                async for chunk in chunks:
                    yield self._chunk(chunk, kwargs)

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        # Several answers don't fit into one stream, and some strategies have none. `stream()`,
        # which gives stream=True, says so; whatever else would stream by itself generates.
        strategy = read_decoding(self._option(kwargs, "decoding"))
        whole = self._option(kwargs, "n") != 1 or (strategy is not None and strategy.whole)
        return (whole and not kwargs.get("stream")) or super()._streaming_disabled(**kwargs)

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: ToolChoice = None,
        parallel_tool_calls: bool = True,
        response_format: object = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Give the model tools; what it calls always fits their schemas.

        `tools` are functions, pydantic or TypedDict classes, schemas or LangChain tools.
        `tool_choice` is "auto" (None), "none", "any", "required" or a tool's name. With
        `response_format` an answer that is no call is JSON. `strict` changes nothing: decoding
        always is.

        Raises:
            RequestError: A tool or the choice can't be used.
        """
        with langchain_errors():
            forms = [openai_tool(tool) for tool in tools]
            choice = to_choice(tool_choice, to_tools(forms))
            bound: dict[str, Any] = {"tools": forms, "tool_choice": choice}
            self._check_options(kwargs)
        if not parallel_tool_calls:
            bound["parallel_tool_calls"] = False
        if response_format is not None:
            bound["response_format"] = response_format
        return self.bind(**bound, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Answers as JSON that fits a schema, parsed: the grammar leaves no other answer.

        `schema` is a pydantic class, a TypedDict or a JSON schema. `method` says by which way the
        answer comes: as the message's text ("json_schema", "json_mode") or as a tool call
        ("function_calling"). `strict` changes nothing: decoding always is.

        Raises:
            ConfigError: There is no such method.
        """
        with langchain_errors():
            self._check_options(kwargs)
            return structured(self, schema, method=method, include_raw=include_raw, options=kwargs)

    def bind(self, **kwargs: Any) -> "BoundMemVR":  # type: ignore[override]  # theirs is private
        """The model with options for every call; what is made of it keeps them."""
        return BoundMemVR(bound=self, kwargs=kwargs, config={})

    def explain(
        self,
        input: LanguageModelInput,
        answer: AIMessage | None = None,
        *,
        config: "ExplainConfig | None" = None,
        **kwargs: Any,
    ) -> "Explanation":
        """Show where in the images each word of an answer came from.

        `input` and the options are those of `invoke`; `answer` is what it gave, which is explained
        as it is. Without it the model is asked first. `config` says how it is explained.

        Raises:
            ConfigError: There is no image.
            RequestError: The answer carries no tokens (`logprobs=False`), or belongs to another
                model or prompt.
            UnsupportedModelError: The engine or the method can't explain this model.
        """
        with langchain_errors():
            request = self._explained(input, kwargs)
            return self._explain(request, answered(answer), config, kwargs)

    async def aexplain(
        self,
        input: LanguageModelInput,
        answer: AIMessage | None = None,
        *,
        config: "ExplainConfig | None" = None,
        **kwargs: Any,
    ) -> "Explanation":
        """`explain` for asyncio; cancelling the task stops the computing."""
        with langchain_errors():
            request = self._explained(input, kwargs)
            return await self._aexplain(request, answered(answer), config, kwargs)

    def _explained(self, input: LanguageModelInput, options: Mapping[str, Any]) -> Request:
        return self._request(self._convert_input(input).to_messages(), None, options)

    # Counting.

    def get_token_ids(self, text: str) -> list[int]:
        """The model's own tokens of a text."""
        return self._engine({}).tokenize(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Exact tokens of a prompt: images, tools and the chat template's own included."""
        return self._count(messages, tools, {})

    def _count(
        self,
        messages: list[BaseMessage],
        tools: Sequence[Any] | None,
        options: Mapping[str, Any],
    ) -> int:
        if not messages:
            return 0
        with langchain_errors():
            if tools:
                options = {**options, "tools": [openai_tool(tool) for tool in tools]}
            request = self._request(messages, None, options)
            return self._engine(options).count(request).prompt_tokens

    def _result(self, done: Completion, options: Mapping[str, Any]) -> ChatResult:
        logprobs = self._option(options, "logprobs")
        answers = [done, *done.alternatives]
        return ChatResult(generations=[to_generation(one, logprobs=logprobs) for one in answers])

    def _chunk(self, chunk: Chunk, options: Mapping[str, Any]) -> ChatGenerationChunk:
        return to_chunk(
            chunk,
            logprobs=self._option(options, "logprobs"),
            usage=self._option(options, "stream_usage"),
        )


class BoundMemVR(RunnableBinding[LanguageModelInput, AIMessage]):
    """`ChatMemVR.bind(...)`; LangChain's own binding forgets its options on the way to a method."""

    model_config = ConfigDict(defer_build=True)  # as `ChatMemVR`, which it holds

    bound: ChatMemVR

    @property
    def profile(self) -> ModelProfile | None:
        """That of the model which a bound `model=` names."""
        return self.bound._profile_of(self.kwargs) if "model" in self.kwargs else self.bound.profile

    @classmethod
    def lc_id(cls) -> list[str]:
        """What it is called in what is written: LangChain's own binding."""
        return [*cls.get_lc_namespace(), "RunnableBinding"]

    def bind(self, **kwargs: Any) -> "BoundMemVR":
        """More options."""
        return BoundMemVR(bound=self.bound, kwargs={**self.kwargs, **kwargs}, config=self.config)

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """As `ChatMemVR.bind_tools`."""
        return self.bound.bind_tools(tools, **{**self.kwargs, **kwargs})

    def with_structured_output(
        self, schema: dict[str, Any] | type, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """As `ChatMemVR.with_structured_output`."""
        return self.bound.with_structured_output(schema, **{**self.kwargs, **kwargs})

    def explain(
        self,
        input: LanguageModelInput,
        answer: AIMessage | None = None,
        *,
        config: "ExplainConfig | None" = None,
        **kwargs: Any,
    ) -> "Explanation":
        """As `ChatMemVR.explain`."""
        return self.bound.explain(input, answer, config=config, **{**self.kwargs, **kwargs})

    async def aexplain(
        self,
        input: LanguageModelInput,
        answer: AIMessage | None = None,
        *,
        config: "ExplainConfig | None" = None,
        **kwargs: Any,
    ) -> "Explanation":
        """As `ChatMemVR.aexplain`."""
        options = {**self.kwargs, **kwargs}
        return await self.bound.aexplain(input, answer, config=config, **options)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """As `ChatMemVR.get_num_tokens_from_messages`, the bound tools and schema included."""
        return self.bound._count(messages, tools, self.kwargs)
