"""Answers a question from the images that were found for it, and says which."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing, nullcontext
from typing import Any, Literal, TypeAlias, get_args

from llama_index.core.base.llms.types import BaseContentBlock, ChatMessage, ChatResponse, TextBlock
from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, QueryType
from llama_index.core.types import RESPONSE_TEXT_TYPE

from memvr_integrations.checks import check_choice, check_text
from memvr_integrations.errors import AbstentionError, RequestError
from memvr_integrations.grounding.captions import CAPTION_PROMPT
from memvr_integrations.grounding.citing import Marks, lines
from memvr_integrations.grounding.collections.fitting import fitting
from memvr_integrations.llama_index.asking.answers import (
    AnswerRecord,
    AsyncImageStream,
    AsyncStreamAnswer,
    ImageStream,
    StreamAnswer,
    TextAnswer,
    is_withheld,
)
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.checks import check_llm, knows_its_options
from memvr_integrations.wire.blocking import wait_for

Mode: TypeAlias = Literal["each", "together"]
Overflow: TypeAlias = Literal["error", "leave_out"]

NOTHING_FOUND = "No image in this collection fits the question."
EACH_TEMPLATE = PromptTemplate("{query_str}")
TOGETHER_TEMPLATE = PromptTemplate(
    "{query_str}\nAnswer from the numbered pictures. Write the number of the picture after each "
    "statement, like [1]."
)


class ImageSynthesizer(BaseSynthesizer):
    """Shows an LLM the images of some nodes, and cites them.

    `mode="each"` asks about every image alone, in one batch, and answers with a line for each:
    right for models that were trained on one image at a time. `mode="together"` shows all of them
    at once. Where they don't fit into the model's context, `overflow="error"` says so, and
    "leave_out" drops the last ones and names them in the response's metadata.

    `response.metadata` holds `answers` and `memvr` for each time the model was asked, and
    `left_out`, the ids of images that it did not see. Where the LLM abstains, answers that it is
    too unsure of are left out and stand in `withheld`; `abstained` says that none was left.
    """

    @knows_its_options
    def __init__(
        self,
        *,
        llm: LLM,
        mode: Mode = "each",
        overflow: Overflow = "error",
        history: Sequence[ChatMessage] = (),
        streaming: bool = False,
        empty_response: str = NOTHING_FOUND,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """`history` are messages that come before the question.

        Raises:
            ConfigError: There is no such mode or overflow, or the LLM can't chat.
        """
        check_choice("mode", mode, get_args(Mode))
        check_choice("overflow", overflow, get_args(Overflow))
        check_llm(llm)
        check_text("empty_response", empty_response)
        super().__init__(
            llm=llm,
            callback_manager=callback_manager,
            streaming=streaming,
            empty_response=empty_response,
            multimodal=True,
        )
        self.metadata: dict[str, Any] | None = None  # of the last response
        self._mode, self._overflow, self._history = mode, overflow, list(history)
        self._templates: dict[str, BasePromptTemplate] = {
            "each_template": EACH_TEMPLATE,
            "together_template": TOGETHER_TEMPLATE,
        }

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return str(self._llm.metadata.model_name)

    def _get_prompts(self) -> PromptDictType:
        return dict(self._templates)

    def _update_prompts(self, prompts: PromptDictType) -> None:
        self._templates.update(prompts)

    def get_response(
        self, query_str: str, text_chunks: Sequence[str], **response_kwargs: Any
    ) -> RESPONSE_TEXT_TYPE:
        """An answer from texts alone."""
        return self.get_response_from_messages(query_str, _as_messages(text_chunks))

    async def aget_response(
        self, query_str: str, text_chunks: Sequence[str], **response_kwargs: Any
    ) -> RESPONSE_TEXT_TYPE:
        """`get_response` for asyncio."""
        return await self.aget_response_from_messages(query_str, _as_messages(text_chunks))

    def get_response_from_messages(
        self, query_str: str, message_chunks: Sequence[ChatMessage], **response_kwargs: Any
    ) -> RESPONSE_TEXT_TYPE:
        """An answer from the blocks of some nodes, one message for each."""
        asked, record = self._asked(query_str, message_chunks)
        if not self._streaming:
            return TextAnswer(self._answer_now(asked, record), record)
        return StreamAnswer(self._stream(asked, record), record)

    async def aget_response_from_messages(
        self, query_str: str, message_chunks: Sequence[ChatMessage], **response_kwargs: Any
    ) -> RESPONSE_TEXT_TYPE:
        """`get_response_from_messages` for asyncio."""
        asked, record = await asyncio.to_thread(self._asked, query_str, message_chunks)
        if not self._streaming:
            return TextAnswer(await self._answer(asked, record), record)
        return AsyncStreamAnswer(self._astream(asked, record), record)

    # Questions.

    def _asked(
        self, query: str, chunks: Sequence[ChatMessage]
    ) -> tuple[list[list[ChatMessage]], AnswerRecord]:
        """The conversations that the model is asked to answer."""
        query = query if query.strip() else CAPTION_PROMPT  # searched by an image alone
        if not self._together:
            asked = [[*self._history, self._about(query, chunk)] for chunk in chunks]
            return asked, AnswerRecord(len(chunks), len(chunks))
        shown = self._fitting(query, chunks)
        asked = [[*self._history, self._about_all(query, chunks[:shown])]]
        return asked if chunks else [], AnswerRecord(len(chunks), shown)

    def _about(self, query: str, chunk: ChatMessage) -> ChatMessage:
        question = self._templates["each_template"].format(query_str=query)
        pictures, texts = _apart(chunk.blocks)
        return ChatMessage(
            role="user", blocks=[*pictures, TextBlock(text="\n".join([*texts, question]))]
        )

    def _about_all(self, query: str, chunks: Sequence[ChatMessage]) -> ChatMessage:
        blocks: list[BaseContentBlock] = []
        for n, chunk in enumerate(chunks, start=1):
            pictures, texts = _apart(chunk.blocks)
            blocks += [TextBlock(text=" ".join([f"[{n}]", *texts])), *pictures]
        question = self._templates["together_template"].format(query_str=query)
        return ChatMessage(role="user", blocks=[*blocks, TextBlock(text=question)])

    def _fitting(self, query: str, chunks: Sequence[ChatMessage]) -> int:
        """How many of the images the model can see at once."""
        llm = self._llm
        if not isinstance(llm, MemVRMultiModalLLM) or not chunks:
            return len(chunks)

        def tokens(shown: int) -> int:
            asked = [*self._history, self._about_all(query, chunks[:shown])]
            return llm.count_tokens(asked).prompt_tokens

        room = llm.metadata.context_window - llm.max_tokens
        shown = fitting(len(chunks), room, tokens)
        if shown == len(chunks) or (shown and self._overflow == "leave_out"):
            return shown
        needed = tokens(len(chunks))
        raise RequestError(
            f"{len(chunks)} images and the question take {needed} tokens, but {self.model} has "
            f"room for {room} beside an answer of max_tokens={llm.max_tokens}. Retrieve fewer "
            "(rerank_top_n=), ask about each image alone (mode='each'), or allow "
            "overflow='leave_out'."
        )

    # Answers.

    def _answer_now(self, asked: Sequence[list[ChatMessage]], record: AnswerRecord) -> str:
        if isinstance(self._llm, MemVRMultiModalLLM):
            return wait_for(self._answer(asked, record))  # one batch
        # Other LLMs may have no asyncio, or clients that live in one loop only.
        return self._cited([self._llm.chat(messages) for messages in asked], record)

    async def _answer(self, asked: Sequence[list[ChatMessage]], record: AnswerRecord) -> str:
        calls = (self._answered(messages) for messages in asked)
        return self._cited(await asyncio.gather(*calls), record)

    async def _answered(self, messages: list[ChatMessage]) -> ChatResponse | AbstentionError:
        try:
            return await self._llm.achat(messages)
        except AbstentionError as error:
            return error  # others may be sure

    def _cited(
        self, responses: Sequence[ChatResponse | AbstentionError], record: AnswerRecord
    ) -> str:
        texts = [record.take(response, own_marks=self._together) for response in responses]
        if not texts:
            return self._empty_response
        if record.abstained:
            if isinstance(responses[0], AbstentionError):
                raise responses[0]
            return texts[0]
        if self._together:
            reader = self._reader(record)
            return reader.read(texts[0]) + reader.finish()
        # Answers that are sure stay.
        sure = enumerate(zip(texts, responses, strict=True), start=1)
        return lines((n, text) for n, (text, response) in sure if not is_withheld(response))

    @property
    def _together(self) -> bool:
        return self._mode == "together"

    def _reader(self, record: AnswerRecord) -> Marks:
        return Marks(range(1, record.shown + 1), own=self._together)

    def _stream(
        self, asked: Sequence[list[ChatMessage]], record: AnswerRecord
    ) -> Generator[str, None, None]:
        if len(asked) != 1:
            yield from self._answer_now(asked, record).splitlines(keepends=True)
            return
        reader, last = self._reader(record), None
        responses = self._llm.stream_chat(asked[0])
        # Core's type is a generator, but some LLMs give an iterator, which can't be closed.
        with closing(responses) if hasattr(responses, "close") else nullcontext():
            for last in responses:
                yield self._read(last, reader)
        yield reader.finish() if last is None or not is_withheld(last) else ""
        if last is not None:
            record.take(last, own_marks=self._together)

    @staticmethod
    def _read(response: ChatResponse, reader: Marks) -> str:
        """What a piece adds; one that stands for a withheld answer cites nothing."""
        delta = response.delta or ""
        return delta if is_withheld(response) else reader.read(delta)

    async def _astream(
        self, asked: Sequence[list[ChatMessage]], record: AnswerRecord
    ) -> AsyncGenerator[str, None]:
        if len(asked) != 1:
            for line in (await self._answer(asked, record)).splitlines(keepends=True):
                yield line
            return
        reader, last = self._reader(record), None
        responses = await self._llm.astream_chat(asked[0])
        async with aclosing(responses) if hasattr(responses, "aclose") else nullcontext():
            async for last in responses:
                yield self._read(last, reader)
        yield reader.finish() if last is None or not is_withheld(last) else ""
        if last is not None:
            record.take(last, own_marks=self._together)

    def synthesize(
        self,
        query: QueryType,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RESPONSE_TYPE:
        """An answer from some nodes; its metadata has the same keys always."""
        return self._with_metadata(
            super().synthesize(query, nodes, additional_source_nodes, **response_kwargs)
        )

    async def asynthesize(
        self,
        query: QueryType,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RESPONSE_TYPE:
        """`synthesize` for asyncio."""
        return self._with_metadata(
            await super().asynthesize(query, nodes, additional_source_nodes, **response_kwargs)
        )

    def _with_metadata(self, response: RESPONSE_TYPE) -> RESPONSE_TYPE:
        if response.metadata is None:  # nothing was found
            response.metadata = AnswerRecord(given=0, shown=0).metadata | {"left_out": []}
            if isinstance(response, StreamingResponse | AsyncStreamingResponse):
                response.response_txt = self._empty_response
        self.metadata = response.metadata
        return response

    def _prepare_response_output(
        self, response_str: RESPONSE_TEXT_TYPE | None, source_nodes: list[NodeWithScore]
    ) -> RESPONSE_TYPE:
        assert isinstance(response_str, TextAnswer | StreamAnswer | AsyncStreamAnswer)
        record = response_str.record
        of_nodes = self._get_metadata_for_response([found.node for found in source_nodes]) or {}
        left_out = source_nodes[record.shown : record.given]
        metadata = record.metadata  # of a stream it grows
        metadata |= of_nodes | {"left_out": [found.node.node_id for found in left_out]}
        if isinstance(response_str, StreamAnswer):
            return ImageStream(response_str, source_nodes=source_nodes, metadata=metadata)
        if isinstance(response_str, AsyncStreamAnswer):
            return AsyncImageStream(response_str, source_nodes=source_nodes, metadata=metadata)
        return Response(str(response_str), source_nodes=source_nodes, metadata=metadata)


def _as_messages(texts: Sequence[str]) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text) for text in texts]


def _apart(blocks: Sequence[BaseContentBlock]) -> tuple[list[BaseContentBlock], list[str]]:
    """A node's pictures, and its texts."""
    pictures = [block for block in blocks if not isinstance(block, TextBlock)]
    return pictures, [block.text for block in blocks if isinstance(block, TextBlock)]
