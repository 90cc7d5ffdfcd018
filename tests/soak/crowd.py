"""Many callers at once, half of them threads and half of them tasks, and one who watches them.

Who watches goes by the time that this process had: on a machine that others use it may get a tenth
of a core, and hang all the same. So a second counts as what was computed in it, and as a whole one
where nothing was.
"""

import asyncio
import faulthandler
import queue
import sys
import threading
import time
from collections.abc import Sequence

from asks import Ask
from calling import Heard, acall, call

from memvr_integrations.backend import Backend

_NOTHING = 0.02  # of a core: what watching itself takes, and less than any share


class Crowd:
    """Serves requests through `callers` at once; who hears nothing for `deadline` seconds hangs."""

    def __init__(self, backend: Backend, *, callers: int, deadline: float) -> None:
        self._backend, self._deadline = backend, deadline
        self._threads, self._tasks = (callers + 1) // 2, callers // 2
        self._begun: dict[int, float] = {}
        self._wall, self._computed = time.monotonic(), time.process_time()
        self._now = 0.0  # seconds that this process had
        self._ended = 0.0  # when the last call did
        self.hung: list[str] = []

    def serve(self, asks: Sequence[Ask]) -> dict[int, Heard]:
        """How each call ended, by its number; those that hang are missing."""
        heard: dict[int, Heard] = {}
        waiting: queue.SimpleQueue[Ask] = queue.SimpleQueue()
        for ask in asks:
            if ask.blocking:
                waiting.put(ask)
        others = [ask for ask in asks if not ask.blocking]
        # Daemons: one that hangs must not keep the process from ending.
        crowd = [
            threading.Thread(target=self._thread, args=(waiting, heard), daemon=True)
            for _ in range(min(self._threads, waiting.qsize()))
        ]
        if others:
            loop = threading.Thread(
                target=lambda: asyncio.run(self._loop(others, heard)), daemon=True
            )
            crowd.append(loop)
        for one in crowd:
            one.start()
        while any(one.is_alive() for one in crowd) and not self._someone_hangs():
            crowd[0].join(0.05)
            crowd = [one for one in crowd if one.is_alive()] or crowd
        return heard

    def _thread(self, waiting: "queue.SimpleQueue[Ask]", heard: dict[int, Heard]) -> None:
        while not self.hung:
            try:
                ask = waiting.get_nowait()
            except queue.Empty:
                return
            self._begin(ask)
            heard[ask.number] = call(self._backend, ask)
            self._end(ask)

    async def _loop(self, asks: Sequence[Ask], heard: dict[int, Heard]) -> None:
        room = asyncio.Semaphore(max(self._tasks, 1))

        async def one(ask: Ask) -> None:
            async with room:
                self._begin(ask)
                heard[ask.number] = await acall(self._backend, ask)
                self._end(ask)

        await asyncio.gather(*map(one, asks))

    def _begin(self, ask: Ask) -> None:
        self._begun[ask.number] = self._now

    def _end(self, ask: Ask) -> None:
        del self._begun[ask.number]
        self._ended = self._now

    def _tick(self) -> None:
        wall, computed = time.monotonic(), time.process_time()
        passed, worked = wall - self._wall, computed - self._computed
        if passed >= min(1.0, self._deadline / 2):
            self._now += passed if worked < _NOTHING * passed else min(worked, passed)
            self._wall, self._computed = wall, computed

    def _someone_hangs(self) -> bool:
        self._tick()
        late = self._now - self._deadline
        if not self._begun and self._ended < late:
            self.hung.append(f"an event loop did not end {self._deadline:g} s after its last call")
        hung = [number for number, begun in list(self._begun.items()) if begun < late]
        self.hung += [
            f"request {number} heard nothing for {self._deadline:g} s (stacks on stderr)"
            for number in hung
        ]
        if self.hung:
            faulthandler.dump_traceback(file=sys.__stderr__, all_threads=True)
        return bool(self.hung)
