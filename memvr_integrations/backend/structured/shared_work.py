"""Work that several callers want the result of: done once, kept, and stopped when all have left."""

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")
Wanted = Callable[[], bool]
_PAUSE = 0.02  # seconds between two checks whether a caller still waits


class Left(Exception):
    """Nobody waits for it any more."""


class _Work(Generic[Made]):
    def __init__(self) -> None:
        self.done = threading.Event()
        self.made: Made | None = None
        self.error: BaseException | None = None
        self.callers: list[Wanted] = []

    def wanted(self) -> bool:
        return any([caller() for caller in self.callers])


class SharedWork(Generic[Key, Made]):
    """Makes one thing for each key, in a thread of its own, and keeps the last `size`.

    What `make(key, wanted)` raises is kept too, except for `Left`: `make` raises that when it
    notices that `wanted()` is false.
    """

    def __init__(self, make: Callable[[Key, Wanted], Made], size: int) -> None:
        self._make, self._size = make, size
        self._lock = threading.Lock()
        self._works: OrderedDict[Key, _Work[Made]] = OrderedDict()

    def get(self, key: Key, wanted: Wanted) -> Made:
        """The thing, for as long as the caller wants it.

        Raises:
            Left: The caller didn't want it any more.
        """
        while wanted():
            work = self._joined(key, wanted)
            while wanted() and not work.done.wait(_PAUSE):
                pass
            with self._lock:
                work.callers.remove(wanted)
            if work.made is not None:
                return work.made
            # All others may have left in the moment in which this one came: then once more.
            if work.error is not None and not isinstance(work.error, Left):
                raise copy.copy(work.error)  # or its traceback would grow with every caller
        raise Left

    def _joined(self, key: Key, wanted: Wanted) -> _Work[Made]:
        with self._lock:
            known = self._works.get(key)
            work = known or _Work()
            work.callers.append(wanted)
            if known is None:
                self._works[key] = work
                thread = threading.Thread(target=self._run, args=(key, work), daemon=True)
                thread.name = "memvr-grammar"
                thread.start()
            self._works.move_to_end(key)
            if len(self._works) > self._size:
                self._works.popitem(last=False)
            return work

    def _run(self, key: Key, work: _Work[Made]) -> None:
        try:
            work.made = self._make(key, work.wanted)
        # Whatever it was, somebody waits: llguidance's panics are no Exceptions.
        except BaseException as error:
            work.error = error.with_traceback(None)
            if isinstance(error, Left):
                with self._lock:
                    if self._works.get(key) is work:
                        del self._works[key]
        work.done.set()
