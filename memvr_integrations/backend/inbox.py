"""Where the callers of the backend wait: for events, for as long as their requests allow."""

import asyncio
import math
import queue
import threading
import time
from collections.abc import Generator

from memvr_integrations.backend.jobs import Event, timed_out
from memvr_integrations.errors import MemVRError
from memvr_integrations.types import Chunk, Request


class Inbox:
    """Where one blocking caller waits for the events of one request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.put = self._events.put
        self.deadline = deadline_of(request)
        self.left = threading.Event()

    def chunks(self) -> Generator[Chunk, None, None]:
        """The chunks until every answer of the request is complete."""
        left = self.request.sampling.n
        while left:
            try:
                event = self._events.get(timeout=seconds_left(self.deadline))
            except queue.Empty:
                raise timed_out(self.request) from None
            if isinstance(event, MemVRError):
                raise event
            left -= event.completion is not None
            yield event

    def cancel(self) -> None:
        """Nobody waits any more; does no harm when the answer is complete."""
        self.left.set()


async def next_event(events: asyncio.Queue[Event], deadline: float, request: Request) -> Event:
    """The next event of a request that an asyncio task waits for."""
    # Not wait_for: before Python 3.12 it may swallow a cancelling that comes with an event.
    try:
        async with asyncio.timeout(seconds_left(deadline)):
            return await events.get()
    except TimeoutError:
        raise timed_out(request) from None


def deadline_of(request: Request) -> float:
    """When a request's time is over, by the monotonic clock."""
    return math.inf if request.timeout is None else time.monotonic() + request.timeout


def seconds_left(deadline: float) -> float | None:
    """A time-out that waiting functions take; they overflow on years, so those mean for ever."""
    remaining = deadline - time.monotonic()
    return max(remaining, 0) if remaining < 1e8 else None
