"""One caller: asks in a request's own way, leaves where it says so, and keeps what was heard."""

import asyncio
import traceback
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field

from asks import Ask

from memvr_integrations.backend import Backend, Chunk, Completion
from memvr_integrations.errors import MemVRError


class Regret(Exception):
    """What a caller throws into a stream that it does not want any more."""


@dataclass
class Pieces:
    """All that a stream gave of one answer."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    calls: dict[int, tuple[str, str]] = field(default_factory=dict)  # name and arguments
    whole: Completion | None = None

    def add(self, chunk: Chunk) -> None:
        """Take the next piece."""
        self.text += chunk.text
        self.ids += [token.id for token in chunk.tokens]
        for delta in chunk.tool_calls:
            name, arguments = self.calls.get(delta.index, ("", ""))
            self.calls[delta.index] = (name + (delta.name or ""), arguments + delta.arguments)
        self.whole = self.whole or chunk.completion


@dataclass
class Heard:
    """How a call ended: with an answer, with an error, left by its caller, or in no way known."""

    whole: Completion | None = None
    error: MemVRError | None = None
    left: bool = False
    broken: str = ""
    pieces: defaultdict[int, Pieces] = field(default_factory=lambda: defaultdict(Pieces))

    @property
    def end(self) -> str:
        """In a word."""
        if self.broken:
            return "broken"
        if self.error is not None:
            return type(self.error).__name__
        return "left" if self.left else "answered"

    def streamed(self, ask: Ask) -> None:
        """A stream came to its end by itself."""
        if missing := ask.request.sampling.n - sum(
            p.whole is not None for p in self.pieces.values()
        ):
            self.broken = f"the stream ended {missing} completion(s) early"


def call(backend: Backend, ask: Ask) -> Heard:
    """Ask from this thread."""
    heard = Heard()
    try:
        if ask.way == "generate":
            [heard.whole] = backend.generate(ask.request)
        else:
            _follow(backend.stream(ask.request), ask, heard)
    except MemVRError as error:
        heard.error = error
    except Exception:
        heard.broken = traceback.format_exc()
    return heard


def _follow(stream: Generator[Chunk, None, None], ask: Ask, heard: Heard) -> None:
    chunks = 0
    while ask.leaving is None or chunks < ask.chunks:
        chunk = next(stream, None)
        if chunk is None:
            heard.streamed(ask)
            return
        heard.pieces[chunk.index].add(chunk)
        chunks += 1
    heard.left = True
    if ask.leaving == "closed":
        stream.close()
    elif ask.leaving == "error thrown in":
        try:
            stream.throw(Regret())
        except Regret:
            return
        heard.broken = "an error thrown into the stream did not come out"
    # A dropped one is closed by Python once nobody holds it.


async def acall(backend: Backend, ask: Ask) -> Heard:
    """Ask from this task."""
    heard = Heard()
    try:
        if ask.leaving == "cancelled":
            await _cancelled(asyncio.create_task(_ask(backend, ask, heard)), ask, heard)
        elif ask.leaving == "overtaken":
            await _overtaken(backend, ask, heard)
        else:
            await _ask(backend, ask, heard)
    except MemVRError as error:
        heard.error = error
    except Exception:
        heard.broken = traceback.format_exc()
    return heard


async def _cancelled(task: asyncio.Task[None], ask: Ask, heard: Heard) -> None:
    await asyncio.wait([task], timeout=ask.seconds)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        heard.left = True


async def _overtaken(backend: Backend, ask: Ask, heard: Heard) -> None:
    """The caller's own time-out; the request's one is a `TimeoutError` too, but one of ours."""
    try:
        async with asyncio.timeout(ask.seconds):
            await _ask(backend, ask, heard)
    except TimeoutError as error:
        if isinstance(error, MemVRError):
            raise
        heard.left = True


async def _ask(backend: Backend, ask: Ask, heard: Heard) -> None:
    if ask.way == "agenerate":
        [heard.whole] = await backend.agenerate(ask.request)
        return
    stream: AsyncGenerator[Chunk, None] = backend.astream(ask.request)
    by_chunks = ask.leaving in ("closed", "dropped", "error thrown in")
    chunks = 0
    while not by_chunks or chunks < ask.chunks:
        chunk = await anext(stream, None)
        if chunk is None:
            heard.streamed(ask)
            return
        heard.pieces[chunk.index].add(chunk)
        chunks += 1
    heard.left = True
    if ask.leaving == "closed":
        await stream.aclose()
    elif ask.leaving == "error thrown in":
        try:
            await stream.athrow(Regret())
        except Regret:
            return
        heard.broken = "an error thrown into the stream did not come out"
    else:
        del stream
        await asyncio.sleep(0)  # the loop closes it
