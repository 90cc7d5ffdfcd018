"""Answers that carry what is known of them beside their text, through core's synthesizers."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Any

from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)

from memvr_integrations.errors import AbstentionError, RequestError
from memvr_integrations.grounding.citing import unmarked


class AnswerRecord:
    """What is known of an answer beside its text; of a stream, at its end.

    `metadata` is what a response's metadata says of it. `answers` and `memvr` have one entry for
    each time the model was asked: one for each image, or one for all. `withheld` has those that
    the model was too unsure of, as it gave them; `abstained` says that these are all.
    """

    def __init__(self, given: int, shown: int) -> None:
        self.given, self.shown = given, shown
        self.withheld: list[str] = []
        self.metadata: dict[str, Any] = {
            "answers": [],
            "memvr": [],
            "withheld": self.withheld,
            "abstained": False,
        }

    @property
    def abstained(self) -> bool:
        """Whether there were answers, and all of them were withheld."""
        return bool(self.metadata["abstained"])

    def take(self, response: ChatResponse | AbstentionError, *, own_marks: bool) -> str:
        """Note an answer; returns its text, or what stands for it."""
        if isinstance(response, AbstentionError):
            record: dict[str, Any] | None = _record(response)
            text = response.withheld
        else:
            record = response.additional_kwargs.get("memvr")
            text = (response.message.content or "").strip()
        text = text if own_marks else unmarked(text)
        self.metadata["answers"].append(text)
        self.metadata["memvr"].append(record)
        if record is not None and record.get("abstained"):
            self.withheld.append(record["withheld"])
        self.metadata["abstained"] = len(self.withheld) == len(self.metadata["answers"])
        return text


def _record(error: AbstentionError) -> dict[str, Any]:
    return {
        "unsureness": error.unsureness,
        "threshold": error.threshold,
        "abstained": True,
        "withheld": error.withheld,
    }


def is_withheld(response: ChatResponse | AbstentionError) -> bool:
    """Whether the model was too unsure of an answer to give it."""
    if isinstance(response, AbstentionError):
        return True
    return bool((response.additional_kwargs.get("memvr") or {}).get("abstained"))


class TextAnswer(str):
    """An answer, and what is known of it."""

    record: AnswerRecord

    def __new__(cls, text: str, record: AnswerRecord) -> "TextAnswer":
        """A text, with what is known of it."""
        made = super().__new__(cls, text)
        made.record = record
        return made


class StreamAnswer(Generator[str, None, None]):
    """A growing answer, and what will be known of it; `text` is what was read so far."""

    def __init__(self, texts: Generator[str, None, None], record: AnswerRecord) -> None:
        self._texts, self.record, self.text = texts, record, ""

    def send(self, value: None) -> str:
        """The next piece."""
        piece = self._texts.send(value)
        self.text += piece
        return piece

    def throw(self, error: Any, value: Any = None, trace: TracebackType | None = None) -> str:
        """Close the answer: its reader failed, or left."""
        return self._texts.throw(error, value, trace)


class AsyncStreamAnswer(AsyncGenerator[str, None]):
    """The same for asyncio; `done` when it was read to its end."""

    def __init__(self, texts: AsyncGenerator[str, None], record: AnswerRecord) -> None:
        self._texts, self.record, self.text, self.done = texts, record, "", False

    async def asend(self, value: None) -> str:
        """The next piece."""
        try:
            piece = await self._texts.asend(value)
        except StopAsyncIteration:
            self.done = True
            raise
        self.text += piece
        return piece

    async def athrow(self, error: Any, value: Any = None, trace: Any = None) -> str:
        """Close the answer: its reader failed, or left."""
        return await self._texts.athrow(error)


class ImageStream(StreamingResponse):
    """A streamed response that knows its text; core's forgets what was read piece by piece."""

    response_gen: StreamAnswer

    def __str__(self) -> str:
        """Its whole text; what was not read yet is read now."""
        for _ in self.response_gen:
            pass
        self.response_txt = self.response_gen.text
        return super().__str__()

    def get_response(self) -> Response:
        """The same as an ordinary response."""
        str(self)
        return super().get_response()


class AsyncImageStream(AsyncStreamingResponse):
    """The same for asyncio."""

    response_gen: AsyncStreamAnswer

    def __str__(self) -> str:
        """Its whole text, when it was read.

        Raises:
            RequestError: It was not read to its end, and an event loop runs.
        """
        if not self.response_gen.done:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                super().__str__()
            else:
                raise RequestError(
                    "This stream was not read to its end; read async_response_gen(), or await "
                    "get_response()."
                )
        self.response_txt = self.response_gen.text
        return self.response_txt or "None"

    async def get_response(self) -> Response:
        """The same as an ordinary response; what was not read yet is read now."""
        async for _ in self.response_gen:
            pass
        return Response(self.response_gen.text, self.source_nodes, self.metadata)
