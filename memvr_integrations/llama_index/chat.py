"""A conversation about the images of a collection."""

import re
from collections.abc import Callable, Sequence

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.llms import LLM
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore

from memvr_integrations.llama_index.synthesizer import ImageSynthesizer, Mode, Overflow

_BACK = re.compile(
    r"\b(it|its|they|them|their|theirs|he|him|his|she|her|hers|that one|this one|those|these)\b",
    re.IGNORECASE,
)


def refers_back(message: str) -> bool:
    """Whether an English message is about what was talked of before, by its pronouns."""
    return _BACK.search(message) is not None


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
        system = [ChatMessage(role="system", content=system_prompt)] if system_prompt else []
        super().__init__(
            retriever,
            llm=llm,
            memory=memory or _memory(llm),
            prefix_messages=system,
            node_postprocessors=list(node_postprocessors),
        )
        self._mode, self._overflow, self._follows_up = mode, overflow, follows_up
        self._last: list[NodeWithScore] = []

    def _get_nodes(self, message: str) -> list[NodeWithScore]:
        if not (self._last and self._follows_up(message)):
            self._last = super()._get_nodes(message)
        return self._last

    async def _aget_nodes(self, message: str) -> list[NodeWithScore]:
        if not (self._last and self._follows_up(message)):
            self._last = await super()._aget_nodes(message)
        return self._last

    def _get_response_synthesizer(  # type: ignore[override]  # core's is a refining one
        self, chat_history: list[ChatMessage], streaming: bool = False
    ) -> ImageSynthesizer:
        return ImageSynthesizer(
            llm=self._llm,
            mode=self._mode,
            overflow=self._overflow,
            history=[*self._prefix_messages, *chat_history],
            streaming=streaming,
            callback_manager=self.callback_manager,
        )

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
