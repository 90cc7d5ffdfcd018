"""Answers that carry what is known of them beside their text, through core's synthesizers."""

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from llama_index.core.base.llms.types import ChatResponse

from memvr_integrations.llama_index.citations import unmarked


@dataclass
class Told:
    """What is known of an answer beside its text; of a stream, at its end.

    `answers` and `memvr` have one entry for each time the model was asked: one for each image, or
    one for all.
    """

    given: int
    shown: int
    answers: list[str] = field(default_factory=list)
    memvr: list[dict[str, Any] | None] = field(default_factory=list)

    @property
    def metadata(self) -> dict[str, Any]:
        """What a response's metadata says of it."""
        return {"answers": self.answers, "memvr": self.memvr}

    def take(self, response: ChatResponse, *, own_marks: bool) -> str:
        """Note an answer; returns its text."""
        text = (response.message.content or "").strip()
        text = text if own_marks else unmarked(text)
        self.answers.append(text)
        self.memvr.append(response.additional_kwargs.get("memvr"))
        return text


class TextAnswer(str):
    """An answer, and what is known of it."""

    told: Told

    def __new__(cls, text: str, told: Told) -> "TextAnswer":
        """A text, with what is known of it."""
        made = super().__new__(cls, text)
        made.told = told
        return made


class StreamAnswer(Generator[str, None, None]):
    """A growing answer, and what will be known of it."""

    def __init__(self, texts: Generator[str, None, None], told: Told) -> None:
        self._texts, self.told = texts, told

    def send(self, value: None) -> str:
        """The next piece."""
        return self._texts.send(value)

    def throw(self, error: Any, value: Any = None, trace: TracebackType | None = None) -> str:
        """Tell the answer that its reader failed, or left."""
        return self._texts.throw(error, value, trace)


class AsyncStreamAnswer(AsyncGenerator[str, None]):
    """The same for asyncio."""

    def __init__(self, texts: AsyncGenerator[str, None], told: Told) -> None:
        self._texts, self.told = texts, told

    async def asend(self, value: None) -> str:
        """The next piece."""
        return await self._texts.asend(value)

    async def athrow(self, error: Any, value: Any = None, trace: Any = None) -> str:
        """Tell the answer that its reader failed, or left."""
        return await self._texts.athrow(error)
