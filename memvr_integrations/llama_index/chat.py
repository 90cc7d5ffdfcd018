"""A conversation about the images of a collection."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms import LLM
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore

from memvr_integrations.llama_index.synthesizer import ImageSynthesizer, Mode, Overflow, check_llm

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


class ImageChatEngine(ContextChatEngine):
    """Chat with memory: finds images for each message, looks at them, cites them.

    A message that `follows_up` what was said ("What colour is it?") is about the images of the
    answer before; any other searches anew.
    """

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
        self._synthesizer: ImageSynthesizer | None = None

    def _get_nodes(self, message: str) -> list[NodeWithScore]:
        said = [one.content for one in self._memory.get_all()]
        if not self._goes_on(message, said):
            self._last = super()._get_nodes(message)
        self._said = [*said, message]
        return self._last

    async def _aget_nodes(self, message: str) -> list[NodeWithScore]:
        said = [one.content for one in await self._memory.aget_all()]
        if not self._goes_on(message, said):
            self._last = await super()._aget_nodes(message)
        self._said = [*said, message]
        return self._last

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
        response: AgentChatResponse = super().chat(message, chat_history, prev_chunks)
        response.metadata = self._metadata()
        return response

    async def achat(
        self,
        message: str,
        chat_history: list[ChatMessage] | None = None,
        prev_chunks: list[NodeWithScore] | None = None,
    ) -> AgentChatResponse:
        """`chat` for asyncio."""
        response: AgentChatResponse = await super().achat(message, chat_history, prev_chunks)
        response.metadata = self._metadata()
        return response

    def _metadata(self) -> dict[str, Any] | None:
        return self._synthesizer.metadata if self._synthesizer else None

    def _get_response_synthesizer(  # type: ignore[override]  # core's is a refining one
        self, chat_history: list[ChatMessage], streaming: bool = False
    ) -> ImageSynthesizer:
        self._synthesizer = ImageSynthesizer(
            llm=self._llm,
            mode=self._mode,
            overflow=self._overflow,
            history=[*self._prefix_messages, *chat_history],
            streaming=streaming,
            callback_manager=self.callback_manager,
        )
        return self._synthesizer

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
