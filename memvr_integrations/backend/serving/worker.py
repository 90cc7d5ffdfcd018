"""The one thread that owns the model: between two tokens it lets rows in from a bounded queue."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice

import torch

from memvr_integrations.backend.decoding.caches.captured import Capture
from memvr_integrations.backend.decoding.decoder import DEFAULT_PROBE, Decoder
from memvr_integrations.backend.decoding.explaining import Explaining
from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.decoding.running import Running, ours
from memvr_integrations.backend.decoding.strategies import second_prompt
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.serving.admission import admitted, prompt_batches
from memvr_integrations.backend.serving.queueing import QueueConfig
from memvr_integrations.errors import BackendClosedError, QueueFullError
from memvr_integrations.memvr.choosing import ProbeKind

logger = logging.getLogger(__name__)


class Worker:
    """Runs jobs until it is closed: between two tokens, rows join and leave.

    `config` bounds what waits and what runs together.
    """

    def __init__(
        self,
        host: Host,
        config: QueueConfig,
        *,
        prefix_bytes: int = 0,
        probe: ProbeKind = DEFAULT_PROBE,
        capture: Capture | None = None,
    ) -> None:
        self._host, self.config = host, config
        self._waiting: deque[Row] = deque()
        self._joining: Sequence[Row] = ()
        self._explaining: deque[Explaining] = deque()
        self._running = Running(host, prefix_bytes=prefix_bytes, probe=probe, capture=capture)
        self._busy = self._forgetting = False
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="memvr-inference", daemon=True)
        self._thread.start()

    @property
    def decoder(self) -> Decoder:
        """The model as it is run; it belongs to the inference thread, its counts may be read."""
        return self._running.decoder

    @property
    def steps(self) -> int:
        """How many steps were computed so far."""
        return self._running.steps

    @property
    def closed(self) -> bool:
        """Whether it takes no more jobs, by `close` or because its thread ended."""
        return self._closed

    @property
    def busy(self) -> bool:
        """Whether any row waits or runs."""
        with self._changed:
            return bool(self._waiting or self._explaining or self._busy)

    def forget(self) -> None:
        """Read all prompts to come as if they were the first."""
        with self._changed:
            self._forgetting = True

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
        waiting = len({id(row.job) for row in self._waiting}) + len(self._explaining)
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

    def explain(self, one: Explaining) -> None:
        """Queue an explanation; a slice of it is computed between two steps.

        Raises:
            QueueFullError: Too many wait already.
            BackendClosedError: The backend was closed.
        """
        with self._changed:
            self._check_room(1)
            self._explaining.append(one)
            self._changed.notify()

    def close(self) -> None:
        """Stop after the current token; whoever still waits gets a `BackendClosedError`."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._let_go()
            self._waiting.clear()
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _let_go(self) -> None:
        running = self._running
        for row in [*self._waiting, *self._joining, *running.again, *running.rows]:
            if not row.done:
                row.job.fail(BackendClosedError("The backend was closed before the answer."))
        for one in self._explaining:
            one.fail(BackendClosedError("The backend was closed before the explanation."))
        self._explaining.clear()

    @torch.inference_mode()
    def _serve(self) -> None:
        try:
            if self._host.unsupported is None:
                self.decoder.choose_probe(self._host.preset)  # now, while nobody waits for it
            while not self._closed:
                self._begin(self._candidates())
                self._running.step()
                self._explain()
        finally:
            # Whatever ended this thread, nobody may wait for it, nor who moved on meanwhile.
            self.close()
            self._let_go()
            self._running.close()

    def _candidates(self) -> list[Row]:
        """Who waits longest, as many as may begin; waits itself where nothing is to be done."""
        running = self._running
        with self._changed:
            # What failed waits longest of all.
            self._waiting.extendleft(reversed(running.again))
            running.again = []
            if not running.rows:
                self._busy = False
                self._changed.wait_for(lambda: self._waiting or self._explaining or self._closed)
            self._busy = True
            if self._forgetting:
                self._forgetting = False
                running.forget()
            # Searches that must wait for another hold up nobody.
            able = (row for row in self._waiting if running.can_begin(row))
            return list(islice(able, self.config.max_batch))

    def _explain(self) -> None:
        """Do a slice of the explanation whose turn it is."""
        if not self._explaining:
            return  # without a lock: who comes now is found after the next step
        with self._changed:
            self._explaining = deque(one for one in self._explaining if not one.over)
            one = self._explaining[0] if self._explaining else None
            self._explaining.rotate(-1)
        if one is not None:
            self._running.explain(one)
            with self._changed:
                self._explaining = deque(one for one in self._explaining if not one.over)

    def _begin(self, candidates: Sequence[Row]) -> None:
        """Let rows begin, as many as there is room for."""
        if not candidates:
            return
        ready = [row for row in candidates if self._prepared(row.job)]
        begin = admitted(ready, self._running, self.config)
        gone = {*begin, *(row for row in candidates if row.done)}
        with self._changed:
            self._waiting = deque(row for row in self._waiting if row not in gone)
            self._joining = begin
        self._running.begin(prompt_batches(begin, self._running))
        self._joining = ()
        if begin:
            logger.debug("%d rows begin; %d run", len(begin), len(self._running.rows))

    def _prepared(self, job: Job) -> bool:
        """Tokenise a job's prompt once; whether the job is worth running."""
        if job.over:
            return False
        if job.prompt is None:
            try:
                job.second = second_prompt(self._host, job)
                job.read(self._host)
            except Exception as error:
                job.fail(ours(error))
        return not job.over
