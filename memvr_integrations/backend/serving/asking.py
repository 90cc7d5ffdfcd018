"""Requests on their way to the inference thread, and answers on their way back, for any caller."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import aclosing
from typing import Protocol, TypeVar

from memvr_integrations.backend.decoding.explaining import Explaining
from memvr_integrations.backend.decoding.jobs import gather, timed_out
from memvr_integrations.backend.serving.inbox import AsyncInbox, BlockingInbox, Inbox
from memvr_integrations.backend.serving.intake import Intake
from memvr_integrations.backend.serving.worker import Worker
from memvr_integrations.errors import BackendClosedError
from memvr_integrations.explain import Explanation
from memvr_integrations.explain.config import ExplainConfig
from memvr_integrations.types import Chunk, Completion, Request

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


class _Finalizer(Protocol):
    @property
    def alive(self) -> bool: ...


class Asking:
    """Asks for threads and for tasks, until the backend that it belongs to is closed.

    `finalizer` is `weakref.finalize`'s, which closes that backend: holding the backend itself would
    keep it from being let go.
    """

    def __init__(
        self,
        worker: Worker,
        intake: Intake,
        pool: ThreadPoolExecutor,
        finalizer: _Finalizer,
    ) -> None:
        self._worker, self._intake, self._pool = worker, intake, pool
        self._finalizer = finalizer
        self._process = os.getpid()

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked any more: closed, or left in the parent by a fork."""
        forked = self._process != os.getpid()
        return forked or self._worker.closed or not self._finalizer.alive

    def check_open(self) -> None:
        """BackendClosedError where nothing can be asked any more."""
        if self.closed:
            raise BackendClosedError(
                "This backend was closed, or belongs to the process that this one was forked "
                "from; load a new one."
            )

    def generate(self, inboxes: Sequence[BlockingInbox]) -> list[Completion]:
        """The answers; the first failure is raised."""
        room = self._worker.config.max_waiting  # a longer list than the queue goes in pieces
        done: list[Completion] = []
        try:
            for start in range(0, len(inboxes), room):
                piece = inboxes[start : start + room]
                self.check_open()
                self._worker.check_room(len(piece))
                self._worker.submit(*(self._intake.job(inbox) for inbox in piece))
                for inbox in piece:
                    chunks = inbox.chunks()
                    done.append(gather({c.index: c.completion for c in chunks if c.completion}))
            return done
        finally:
            for inbox in inboxes:
                inbox.cancel()

    def chunks(self, inbox: BlockingInbox) -> Generator[Chunk, None, None]:
        """The chunks; closing the generator stops the computing."""
        try:
            self._submit(inbox)
            yield from inbox.chunks()
        finally:
            inbox.cancel()

    async def agenerate(self, inboxes: Sequence[AsyncInbox]) -> list[Completion]:
        """`generate` for asyncio; cancelling the task stops the computing."""
        room = asyncio.Semaphore(self._worker.config.max_waiting)
        tasks = [asyncio.ensure_future(self._collect(inbox, room)) for inbox in inboxes]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def achunks(self, inbox: AsyncInbox) -> AsyncGenerator[Chunk, None]:
        """`chunks` for asyncio."""
        try:
            await self._asubmit(inbox)
            async with aclosing(inbox.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            inbox.cancel()

    def explain(
        self,
        inbox: BlockingInbox,
        completion: Completion,
        config: ExplainConfig,
        names: tuple[str, ...],
        progress: Callable[[float], None] | None,
    ) -> Explanation:
        """The explanation of an answer that was given to a request."""
        self.check_open()
        self._worker.check_room(1)
        one = Explaining(self._intake.checked(inbox), completion, config, names, progress)
        try:
            self._worker.explain(one)
            return one.result.result(inbox.seconds_left)
        except FutureTimeoutError:
            raise timed_out(inbox.request) from None
        finally:
            inbox.cancel()

    async def aexplain(
        self,
        inbox: AsyncInbox,
        completion: Completion,
        config: ExplainConfig,
        names: tuple[str, ...],
        progress: Callable[[float], None] | None,
    ) -> Explanation:
        """`explain` for asyncio; cancelling the task stops the computing."""
        try:
            job = await self.in_pool(inbox.request, inbox.seconds_left, self._intake.checked, inbox)
            one = Explaining(job, completion, config, names, progress)
            self._worker.explain(one)
            async with asyncio.timeout(inbox.seconds_left):
                return await asyncio.wrap_future(one.result)
        except TimeoutError:
            raise timed_out(inbox.request) from None
        finally:
            inbox.cancel()

    async def in_pool(
        self,
        request: Request,
        seconds: float | None,
        work: Callable[[_Given], _Made],
        given: _Given,
    ) -> _Made:
        """What `work(given)` returns, from another thread, within some seconds."""
        self.check_open()
        try:
            submitting = self._pool.submit(work, given)
        except RuntimeError:  # closed by another thread in this very moment
            raise BackendClosedError("The backend was closed before the answer.") from None
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(submitting)
        except TimeoutError:
            raise timed_out(request) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Closing the backend cancels what its intake has not begun; the caller lives on.
            raise BackendClosedError("The backend was closed before the answer.") from None

    async def _collect(self, inbox: AsyncInbox, room: asyncio.Semaphore) -> Completion:
        completions = {}
        try:
            async with asyncio.timeout(inbox.seconds_left):
                await room.acquire()
        except TimeoutError:
            raise timed_out(inbox.request) from None
        try:
            async with aclosing(self.achunks(inbox)) as chunks:
                async for chunk in chunks:
                    if chunk.completion is not None:
                        completions[chunk.index] = chunk.completion
        finally:
            room.release()
        return gather(completions)

    async def _asubmit(self, inbox: AsyncInbox) -> None:
        """`_submit`, in a thread of its own where it might hold up the loop."""
        request = inbox.request
        quick = not request.images and not request.tools and request.response_format is None
        if quick and request.decoding is None:
            self._submit(inbox)
            return
        await self.in_pool(request, inbox.seconds_left, self._submit, inbox)

    def _submit(self, inbox: Inbox) -> None:
        """Make a job and queue it, unless its caller has left meanwhile."""
        self.check_open()
        self._worker.check_room(1)
        job = self._intake.job(inbox)
        if not inbox.left.is_set():
            self._worker.submit(job)
