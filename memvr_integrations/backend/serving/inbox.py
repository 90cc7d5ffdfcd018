"""Where the callers of the backend wait: for events, for as long as their requests allow."""

import asyncio
import math
import queue
import threading
import time
import warnings
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress

from memvr_integrations.backend.decoding.jobs import Event, timed_out
from memvr_integrations.errors import MemVRError, MemVRWarning
from memvr_integrations.types import Chunk, Request

_LONGEST_CHARACTER = 4  # in bytes, each of which may be a token


class Inbox:
    """One caller of one request: its deadline, and whether it still waits.

    The clock starts here, before a place in the queue or a picture is waited for. `dictated` are
    the tokens of an answer of which only the probability is wanted. Without `pieces` the caller
    wants whole answers, and isn't woken for what comes before their end.
    """

    def __init__(
        self, request: Request, dictated: tuple[int, ...] = (), *, pieces: bool = False
    ) -> None:
        self.request, self.dictated, self._pieces = request, dictated, pieces
        self.deadline = math.inf if request.timeout is None else time.monotonic() + request.timeout
        self.left = threading.Event()

    @property
    def seconds_left(self) -> float | None:
        """A time-out that waiting functions take; they overflow on years: those mean for ever."""
        remaining = self.deadline - time.monotonic()
        return max(remaining, 0) if remaining < 1e8 else None

    def wanted(self) -> bool:
        """Whether the caller still waits, and has time left."""
        return not self.left.is_set() and time.monotonic() < self.deadline

    def report(self, event: Event) -> None:
        """Report what happened, as far as it is wanted; called from the inference thread."""
        if self._pieces or isinstance(event, MemVRError) or event.completion is not None:
            self.put(event)

    def put(self, event: Event) -> None:
        """Wake the caller with what happened."""
        raise NotImplementedError

    def _complete(self, chunk: Chunk) -> bool:
        """Whether a chunk completes an answer; a warning where there is nothing in that."""
        done = chunk.completion
        if done is None:
            return False
        # No character takes more tokens: this model goes on without saying anything.
        many = len(done.tokens) > _LONGEST_CHARACTER
        # Where stop strings or tokens are given, one of them may have left nothing.
        sampling = self.request.sampling
        stops = sampling.stop or sampling.stop_token_ids
        ended = done.finish_reason == "stop" and not stops
        if not (done.text or done.tool_calls or self.dictated) and (ended or many):
            warnings.warn(
                f"{done.model} gave an empty answer: {len(done.tokens)} token(s) without text, "
                f"finish_reason={done.finish_reason!r}. Ask in other words or at another "
                "temperature; if it does so always, its weights or its chat template are wrong.",
                MemVRWarning,
                stacklevel=2,
            )
        return True

    def cancel(self) -> None:
        """Nobody waits any more; does no harm when the answer is complete."""
        self.left.set()


class BlockingInbox(Inbox):
    """A thread waits here."""

    def __init__(
        self, request: Request, dictated: tuple[int, ...] = (), *, pieces: bool = False
    ) -> None:
        super().__init__(request, dictated, pieces=pieces)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def put(self, event: Event) -> None:
        """Wake the waiting thread."""
        self._events.put(event)

    def chunks(self) -> Generator[Chunk, None, None]:
        """The chunks until every answer of the request is complete."""
        missing = self.request.sampling.n
        while missing:
            try:
                event = self._events.get(timeout=self.seconds_left)
            except queue.Empty:
                raise timed_out(self.request) from None
            if isinstance(event, MemVRError):
                raise event
            missing -= self._complete(event)
            yield event


class AsyncInbox(Inbox):
    """An asyncio task waits here; made inside its event loop."""

    def __init__(
        self, request: Request, dictated: tuple[int, ...] = (), *, pieces: bool = False
    ) -> None:
        super().__init__(request, dictated, pieces=pieces)
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        """Wake the waiting task, from whatever thread."""
        with suppress(RuntimeError):  # in a closed loop nobody waits
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """The chunks until every answer of the request is complete."""
        missing = self.request.sampling.n
        while missing:
            # Not wait_for: before Python 3.12 it may swallow a cancelling that comes with an event.
            try:
                async with asyncio.timeout(self.seconds_left):
                    event = await self._events.get()
            except TimeoutError:
                raise timed_out(self.request) from None
            if isinstance(event, MemVRError):
                raise event
            missing -= self._complete(event)
            yield event
