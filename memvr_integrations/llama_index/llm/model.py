"""`MemVRMultiModalLLM`: LlamaIndex's multimodal LLM over the shared backend."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictStartEvent
from llama_index.core.llms import loading
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.multi_modal_llms import MultiModalLLM
from llama_index.core.program.utils import FlexibleModel
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.tools.types import BaseTool
from llama_index.core.types import Model
from pydantic import BaseModel

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.choice import YES_NO, ashares, shares
from memvr_integrations.llama_index.llm.base import AnsweringLLM
from memvr_integrations.llama_index.llm.blocks import ImageDocument
from memvr_integrations.llama_index.llm.messages import question, to_messages
from memvr_integrations.llama_index.llm.structured import (
    GrowingObject,
    ObjectLLM,
    check_arguments,
    check_class,
    dispatcher,
    read_object,
)
from memvr_integrations.llama_index.llm.tools import openai_tool, selections
from memvr_integrations.types import Usage


class MemVRMultiModalLLM(AnsweringLLM, MultiModalLLM):  # type: ignore[misc]  # their metadata differ
    """A local vision LLM that retraces the image where it is unsure.

    Making one costs nothing: the weights come into memory at the first call, once for all
    objects of LlamaIndex and LangChain that ask for the same model, and leave it with the last
    of them or with `unload()`.

    `model` is a catalog name, a folder or a hub id. `memvr=True` takes the model's preset, a
    `MemVRConfig` sets it, None decodes plainly. `decoding` is a strategy beside it, such as "vcd"
    or `VCDConfig(...)`. `temperature=0`, the default, is greedy. Pictures come as `ImageBlock`s of
    messages or as `image_documents=`. `image_policy` says which may come in: an
    `ImagePolicy(allowed_hosts=..., image_dirs=...)` or a dict of its fields; None is the engine's
    own, which lets nothing be downloaded. `engine` takes a backend of your own instead of `model`.

    `abstain=True` withholds what the model was too unsure of, by the threshold that was measured
    on it; a number or `Abstaining(...)` sets it. Streams then wait for the whole answer, an unsure
    tool call never reaches its tool, and an unsure value of an object becomes None where its class
    lets it.

    Every answer says in `additional_kwargs["memvr"]` how unsure the model was and where it
    retraced, for each token too. With `n` above 1 `raw["choices"]` has all answers.
    """

    @classmethod
    def class_name(cls) -> str:
        """Its name in what is written to disk; with "multi" in it, for core looks for that."""
        return "memvr_multi_modal_llm"

    def count_tokens(
        self, messages: Sequence[ChatMessage], image_documents: Sequence[ImageDocument] = ()
    ) -> Usage:
        """Exact tokens of a prompt, its images included; nothing is computed."""
        asked = to_messages(messages, image_documents)
        return self._engine({}).count(self._request(asked, {}))

    def probability(
        self,
        prompt: str,
        image_documents: Sequence[ImageDocument] = (),
        answers: Sequence[str] = YES_NO,
    ) -> float:
        """The model's own probability of the first of some answers: P(yes) by default.

        Raises:
            RequestError: `answers` are not two or more different texts.
            MemVRError: As `Backend.score` does.
        """
        request = self._request(question(prompt, image_documents), {})
        return shares(self._engine({}), request, answers, retries=self.max_retries)[0]

    async def aprobability(
        self,
        prompt: str,
        image_documents: Sequence[ImageDocument] = (),
        answers: Sequence[str] = YES_NO,
    ) -> float:
        """`probability` for asyncio; concurrent calls share batches."""
        request = self._request(question(prompt, image_documents), {})
        engine = await self._aengine({})
        return (await ashares(engine, request, answers, retries=self.max_retries))[0]

    # Tools.

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if isinstance(user_msg, str):
            user_msg = ChatMessage(role="user", content=user_msg)
        return {
            "messages": [*(chat_history or ()), *([user_msg] if user_msg else ())],
            "tools": [openai_tool(tool) for tool in tools],
            "tool_choice": tool_choice or ("required" if tool_required else "auto"),
            "parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    def predict_and_call(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Let the model choose a tool, and run it; where none would be an error, it has to."""
        kwargs.setdefault("tool_required", error_on_no_tool_call)
        return super().predict_and_call(
            tools,
            user_msg,
            chat_history,
            verbose,
            allow_parallel_tool_calls,
            error_on_no_tool_call,
            error_on_tool_error,
            **kwargs,
        )

    async def apredict_and_call(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """`predict_and_call` for asyncio."""
        kwargs.setdefault("tool_required", error_on_no_tool_call)
        return await super().apredict_and_call(
            tools,
            user_msg,
            chat_history,
            verbose,
            allow_parallel_tool_calls,
            error_on_no_tool_call,
            error_on_tool_error,
            **kwargs,
        )

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The calls in a response; those of a stream as far as they are written.

        Raises:
            RequestError: There is none, and `error_on_no_tool_call` is set.
        """
        calls = selections(response)
        if not calls and error_on_no_tool_call:
            raise RequestError(
                f"The model called no tool, it said {response.message.content!r}; ask with "
                "tool_required=True, or with error_on_no_tool_call=False."
            )
        return calls

    # Objects of a pydantic class; core's way by tools and quoted schemas is not taken.

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
        asked = self._begin(output_cls, prompt, prompt_args, image_documents, llm_kwargs)
        return read_object(output_cls, self.chat(**asked))

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
        asked = self._begin(output_cls, prompt, prompt_args, image_documents, llm_kwargs)
        return read_object(output_cls, await self.achat(**asked))

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
        asked = self._begin(output_cls, prompt, prompt_args, image_documents, llm_kwargs)
        stream = self.stream_chat(**asked)
        growing = GrowingObject(output_cls)
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
        asked = self._begin(output_cls, prompt, prompt_args, image_documents, llm_kwargs)
        stream = await self.astream_chat(**asked)
        growing = GrowingObject(output_cls)

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
        check_class(output_cls)
        return ObjectLLM(llm=self, output_cls=output_cls, **kwargs)

    def _begin(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        prompt_args: dict[str, Any],
        documents: Sequence[ImageDocument] | None,
        llm_kwargs: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """What the chat is asked with."""
        check_class(output_cls)
        dispatcher.event(
            LLMStructuredPredictStartEvent(
                output_cls=output_cls, template=prompt, template_args=prompt_args
            )
        )
        check_arguments(prompt, prompt_args)
        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        asked = {"messages": messages, "response_format": output_cls, **(llm_kwargs or {})}
        if documents is None:
            return asked
        if "image_documents" in asked:
            raise RequestError("Give the images once: as image_documents= or in llm_kwargs.")
        return asked | {"image_documents": documents}

    def _get_messages(self, prompt: BasePromptTemplate, **prompt_args: Any) -> list[ChatMessage]:
        check_arguments(prompt, prompt_args)
        messages: list[ChatMessage] = super()._get_messages(prompt, **prompt_args)
        return messages


loading.RECOGNIZED_LLMS[MemVRMultiModalLLM.class_name()] = MemVRMultiModalLLM
