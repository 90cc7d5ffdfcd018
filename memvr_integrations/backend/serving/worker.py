"""The one thread that owns the model: takes rows off a bounded queue, batch after batch."""

import logging
import threading
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from memvr_integrations.backend.decoding.batch import run_batch
from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.decoding.strategies import second_prompt
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.checks import check_integer, check_number
from memvr_integrations.errors import (
    BackendClosedError,
    GenerationError,
    MemoryExhaustedError,
    MemVRError,
    QueueFullError,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class QueueConfig:
    """How requests become batches.

    `max_batch` bounds the answers that are computed together, `max_waiting` the requests that may
    wait for their turn. The first request of a batch waits `gather_seconds` for company.
    """

    max_batch: int = 8
    max_waiting: int = 256
    gather_seconds: float = 0.005

    def __post_init__(self) -> None:
        """Refuse a queue that nothing could ever leave."""
        check_integer("max_batch", self.max_batch, least=1)
        check_integer("max_waiting", self.max_waiting, least=1)
        check_number("gather_seconds", self.gather_seconds, most=60)


class Worker:
    """Runs jobs until it is closed.

    Rows that arrive together and decode by the same formula share a batch; a batch runs until its
    last row is done. One that fails is tried again in halves (out of memory) or row by row (any
    other error), so that a request can only spoil its own answer.
    """

    def __init__(self, host: Host, config: QueueConfig) -> None:
        self._host, self.config = host, config
        # Only pictures that lie in a prompt as tokens can be padded into one batch.
        self._batch = 1 if host.unsupported else config.max_batch
        self._waiting: deque[Row] = deque()
        self._running: Sequence[Row] = ()
        self._changed = threading.Condition()
        self._closed = False
        self.batches = 0
        self._thread = threading.Thread(target=self._serve, name="memvr-inference", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it takes no more jobs, by `close` or because its thread ended."""
        return self._closed

    @property
    def busy(self) -> bool:
        """Whether any row waits or runs."""
        with self._changed:
            return bool(self._waiting or self._running)

    def check_room(self, jobs: int) -> None:
        """Refuse what `submit` would refuse now, before anything was done for it.

        Raises:
            QueueFullError: Too many wait already.
            BackendClosedError: The backend was closed.
        """
        with self._changed:
            self._check_room(jobs)

    def _check_room(self, jobs: int) -> None:
        if self._closed:
            raise BackendClosedError("This backend was closed; load a new one.")
        # Who left does not keep a place.
        self._waiting = deque(row for row in self._waiting if not row.job.left.is_set())
        waiting = len({id(row.job) for row in self._waiting})
        if waiting + jobs > self.config.max_waiting:
            raise QueueFullError(
                f"{waiting} requests wait already and {jobs} more came "
                f"(max_waiting={self.config.max_waiting}); try again later, send fewer at "
                "once, or raise the limit when loading the backend."
            )

    def submit(self, *jobs: Job) -> None:
        """Queue jobs at once, so that they share batches; all of them or none.

        Raises:
            QueueFullError: Too many wait already.
            BackendClosedError: The backend was closed.
        """
        with self._changed:
            self._check_room(len(jobs))
            for job in jobs:
                job.rows = [Row(job, index) for index in range(job.request.sampling.n)]
                self._waiting.extend(job.rows)
            self._changed.notify()

    def close(self) -> None:
        """Stop after the current token; whoever still waits gets a `BackendClosedError`."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            for row in [*self._waiting, *self._running]:
                if not row.done:
                    row.job.fail(BackendClosedError("The backend was closed before the answer."))
            self._waiting.clear()
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _serve(self) -> None:
        try:
            while not self._closed:
                rows = self._next_rows()
                self._attempt([row for row in rows if self._prepared(row.job)])
                self._running = ()
                del rows  # or the last requests would live on while this thread waits
        finally:
            self.close()  # whatever ended this thread, nobody may wait for it

    def _next_rows(self) -> list[Row]:
        """Wait for work; none where the backend is closing, or all have left meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(
                lambda: len(self._waiting) >= self._batch or self._closed,
                timeout=self.config.gather_seconds,
            )
            batch: list[Row] = []
            others: deque[Row] = deque()
            while self._waiting:
                row = self._waiting.popleft()
                fits = len(batch) < self._batch and _same_formula([*batch, row])
                (batch if fits else others).append(row)
            self._waiting = others
            self._running = batch
        logger.debug("a batch of %d rows; %d wait", len(batch), len(others))
        return batch

    def _prepared(self, job: Job) -> bool:
        """Tokenise a job's prompt once; whether the job is worth running."""
        if job.over:
            return False
        if job.prompt is None:
            try:
                job.second = second_prompt(self._host, job)
                job.read(self._host)
            except Exception as error:
                job.fail(_ours(error))
        return not job.over

    def _attempt(self, rows: Sequence[Row]) -> None:
        rows = [row for row in rows if not row.done]
        if not rows:
            return
        size = self._run(rows)
        # Not inside the `except`: there the failed batch's tensors would still be held.
        if size and torch.cuda.is_available():
            torch.cuda.empty_cache()
        for start in range(0, len(rows) if size else 0, max(size, 1)):
            self._attempt(rows[start : start + size])

    def _run(self, rows: Sequence[Row]) -> int:
        """Run a batch; how many rows to try together next where it failed, 0 for none."""
        self.batches += 1
        try:
            run_batch(self._host, rows)
        except Exception as error:
            memory = _out_of_memory(error)
            if memory:
                traceback.clear_frames(error.__traceback__)
            if len(rows) > 1:
                size = len(rows) // 2 if memory else 1
                why = "ran out of memory" if memory else f"failed ({type(error).__name__})"
                logger.info("a batch of %d rows %s; %d at a time now", len(rows), why, size)
                return size
            rows[0].job.fail(_too_large(error, self._host.name) if memory else _ours(error))
        return 0


def _same_formula(rows: Sequence[Row]) -> bool:
    """Whether one arming and one strategy serve all rows.

    Thresholds, ratios and windows may differ, and whether MemVR acts at all.
    """
    strategies = {row.job.decoding for row in rows}
    alone = any(strategy is not None and strategy.whole for strategy in strategies)
    if len(strategies) > 1 or (alone and len(rows) > 1):
        return False
    formulas = {
        (c.uncertainty, c.activation, c.norm_before_head, c.scope, c.dynamic_ratio, c.control)
        for row in rows
        if (c := row.job.config) is not None
    }
    return len(formulas) <= 1


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def _too_large(error: Exception, name: str) -> MemVRError:
    failure = MemoryExhaustedError(
        f"{name} ran out of memory on a single request. Send fewer or smaller images, lower "
        "max_tokens, or load the model with quantization='4bit'."
    )
    failure.__cause__ = error
    return failure


def _ours(error: Exception) -> MemVRError:
    if isinstance(error, MemVRError):
        return error
    failure = GenerationError(f"The model failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
