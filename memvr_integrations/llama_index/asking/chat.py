"""A conversation about the images of a collection."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.chat_engine.types import AgentChatResponse, StreamingAgentChatResponse
from llama_index.core.llms import LLM
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore

from memvr_integrations.checks import check_kind
from memvr_integrations.errors import ConfigError
from memvr_integrations.llama_index.asking.synthesizer import ImageSynthesizer, Mode, Overflow
from memvr_integrations.llama_index.llm.checks import check_llm, knows_its_options

_BACK = re.compile(
    r"\b(it|its|they|them|their|theirs|he|him|his|she|her|hers|those|these)\b"
    r"|\b(this|that)( one)?\W*$",
    re.IGNORECASE,
)
_ANEW = re.compile(r"\b(a|an|any|all|every|some|which|many|pictures?|images?)\b", re.IGNORECASE)


def refers_back(message: str) -> bool:
    """Whether an English message is about what was talked of before, by its pronouns.

    Not where it names something new before the pronoun: "Is there a fork, and is it long?"
    """
    pronoun = _BACK.search(message)
    if pronoun is None:
        return False
    return _ANEW.search(message[: pronoun.start()]) is None and not re.search(
        r"\bany (picture|image)", message, re.IGNORECASE
    )


class _Noted:
    """Who answers in one call: core's chat engines keep nothing of a response's metadata."""

    synthesizer: ImageSynthesizer | None = None
    metadata: dict[str, Any] | None = None


# An engine may be used by several tasks and threads at a time.
_NOTED: ContextVar[_Noted | None] = ContextVar("noted", default=None)


@contextmanager
def _noting() -> Iterator[_Noted]:
    noted = _Noted()
    token = _NOTED.set(noted)
    try:
        yield noted
        noted.metadata = noted.synthesizer.metadata if noted.synthesizer else None
    finally:
        _NOTED.reset(token)
        # Tasks that began meanwhile copied the context: they must not keep a model in memory.
        noted.synthesizer = None


class ImageChatEngine(ContextChatEngine):
    """Chat with memory: finds images for each message, asks about them, cites them.

    A message that `follows_up` what was said ("What colour is it?") is about the images of the
    answer before; any other searches anew.
    """

    @knows_its_options
    def __init__(
        self,
        retriever: BaseRetriever,
        *,
        llm: LLM,
        memory: BaseMemory | None = None,
        system_prompt: str | None = None,
        node_postprocessors: Sequence[BaseNodePostprocessor] = (),
        mode: Mode = "each",
        overflow: Overflow = "error",
        follows_up: Callable[[str], bool] = refers_back,
    ) -> None:
        """`ImageCollectionIndex.as_chat_engine` makes one."""
        check_llm(llm)
        check_kind("memory", memory, BaseMemory | None, "ChatMemoryBuffer.from_defaults(...)")
        check_kind("system_prompt", system_prompt, str | None, "a text, or None")
        if not callable(follows_up):
            raise ConfigError(f"follows_up={follows_up!r} can't be used; give a function.")
        system = [ChatMessage(role="system", content=system_prompt)] if system_prompt else []
        super().__init__(
            retriever,
            llm=llm,
            memory=memory or _memory(llm),
            prefix_messages=system,
            node_postprocessors=list(node_postprocessors),
            callback_manager=llm.callback_manager,
        )
        self._mode, self._overflow, self._follows_up = mode, overflow, follows_up
        self._last: list[NodeWithScore] = []
        self._said: list[str | None] = []  # until then

    def _get_nodes(self, message: str) -> list[NodeWithScore]:
        said = [one.content for one in self._memory.get_all()]
        nodes = self._last if self._goes_on(message, said) else super()._get_nodes(message)
        self._last, self._said = nodes, [*said, message]
        return nodes

    async def _aget_nodes(self, message: str) -> list[NodeWithScore]:
        said = [one.content for one in await self._memory.aget_all()]
        goes_on = self._goes_on(message, said)
        nodes = self._last if goes_on else await super()._aget_nodes(message)
        self._last, self._said = nodes, [*said, message]
        return nodes

    def _goes_on(self, message: str, said: list[str | None]) -> bool:
        """Whether the last images still count: another `chat_history` is another conversation."""
        same = bool(said) and said[:-1] == self._said
        return bool(self._last) and same and self._follows_up(message)

    def chat(
        self,
        message: str,
        chat_history: list[ChatMessage] | None = None,
        prev_chunks: list[NodeWithScore] | None = None,
    ) -> AgentChatResponse:
        """Answer a message; `metadata` is that of a query engine's response."""
        with _noting() as noted:
            response: AgentChatResponse = super().chat(message, chat_history, prev_chunks)
        response.metadata = noted.metadata
        return response

    async def achat(
        self,
        message: str,
        chat_history: list[ChatMessage] | None = None,
        prev_chunks: list[NodeWithScore] | None = None,
    ) -> AgentChatResponse:
        """`chat` for asyncio."""
        with _noting() as noted:
            response: AgentChatResponse = await super().achat(message, chat_history, prev_chunks)
        response.metadata = noted.metadata
        return response

    def stream_chat(
        self,
        message: str,
        chat_history: list[ChatMessage] | None = None,
        prev_chunks: list[NodeWithScore] | None = None,
    ) -> StreamingAgentChatResponse:
        """`chat`, piece by piece; `metadata` is whole at its end."""
        with _noting() as noted:
            response: StreamingAgentChatResponse = super().stream_chat(
                message, chat_history, prev_chunks
            )
        response.metadata = noted.metadata  # type: ignore[attr-defined]  # core's has none
        return response

    async def astream_chat(
        self,
        message: str,
        chat_history: list[ChatMessage] | None = None,
        prev_chunks: list[NodeWithScore] | None = None,
    ) -> StreamingAgentChatResponse:
        """`stream_chat` for asyncio."""
        with _noting() as noted:
            response: StreamingAgentChatResponse = await super().astream_chat(
                message, chat_history, prev_chunks
            )
        response.metadata = noted.metadata  # type: ignore[attr-defined]  # core's has none
        return response

    def _get_response_synthesizer(  # type: ignore[override]  # core's is a refining one
        self, chat_history: list[ChatMessage], streaming: bool = False
    ) -> ImageSynthesizer:
        made = ImageSynthesizer(
            llm=self._llm,
            mode=self._mode,
            overflow=self._overflow,
            history=[*self._prefix_messages, *chat_history],
            streaming=streaming,
            callback_manager=self.callback_manager,
        )
        if noted := _NOTED.get():
            noted.synthesizer = made
        return made

    def reset(self) -> None:
        """Begin a new conversation."""
        super().reset()
        self._last = []


def _memory(llm: LLM) -> BaseMemory:
    # Core's newer Memory never closes its database; images need most of the context.
    buffer: BaseMemory = ChatMemoryBuffer.from_defaults(
        token_limit=llm.metadata.context_window // 4
    )
    return buffer
