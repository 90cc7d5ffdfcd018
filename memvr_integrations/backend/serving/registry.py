"""One backend for all who ask for the same model: loaded at the first use, closed after the last.

Integrations make many small model objects (a copy for every binding, one for each framework).
They share what is in memory through here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self, TypeAlias

from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.errors import BackendClosedError

if TYPE_CHECKING:
    from memvr_integrations.backend.serving.backend import Backend

_Key: TypeAlias = tuple[str, LoadConfig]
_Lease: TypeAlias = "tuple[_Key, Backend | None]"

_LOG = logging.getLogger(__name__)


@dataclass
class _Entry:
    loading: threading.Lock = field(default_factory=threading.Lock)
    backend: Backend | None = None
    users: int = 0
    idle_since: float = 0.0


class Registry:
    """Backends in use, counted.

    What the garbage collector gives back stays for `linger` seconds more: chains that make a new
    model object for every call would load the weights each time. Loading another model, and
    `release`, make an end of that at once.
    """

    def __init__(self, load: Callable[[str, LoadConfig], Backend], *, linger: float = 30.0) -> None:
        self._load, self._linger = load, linger
        self._begin()
        self._forked = False

    def _begin(self) -> None:
        self._entries: dict[_Key, _Entry] = {}
        self._lock = threading.Lock()
        self._dropped: queue.SimpleQueue[_Lease] = queue.SimpleQueue()
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._reaper: threading.Thread | None = None

    def forget(self) -> None:
        """Start anew in a forked process: threads, and with them backends, don't come along.

        Nor do those of torch, which would then wait for them for ever.
        """
        self._forked = self._forked or bool(self._entries)
        self._begin()

    def drop(self, lease: _Lease) -> None:
        """`release` at some later time, in another thread.

        For the garbage collector, which may run in any thread at any line, under any lock.
        """
        self._dropped.put(lease)
        self._woken.put(None)

    def acquire(self, key: _Key, *, memvr: bool | None = True) -> Backend:
        """The backend of a model, loaded if nobody has it yet; give it back with `release`.

        With `memvr=None` it may be a model that MemVR can't attach to.

        Raises:
            BackendClosedError: This process was forked from one that had loaded a model.
        """
        if self._forked:
            raise BackendClosedError(
                "This process was forked from one that had loaded a model, and torch can't "
                "compute in it; start processes with multiprocessing's 'spawn' or 'forkserver'."
            )
        with self._lock:
            if self._reaper is None:
                self._reaper = threading.Thread(
                    target=self._reap, name="memvr-registry", daemon=True
                )
                self._reaper.start()
            self._count_dropped()
            dead = self._entries.get(key)
            if dead is not None and dead.backend is not None and dead.backend.closed:
                del self._entries[key]  # its thread ended; who holds it still takes a new one
            unused = [] if key in self._entries else self._unused(time.monotonic())
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
        _close(unused)
        try:
            with entry.loading:  # others wait for the first one's loading
                if entry.backend is None:
                    entry.backend = self._load(key[0], replace(key[1], memvr=memvr))
                return entry.backend
        except BaseException:
            self.release((key, None))
            raise

    def release(self, lease: _Lease) -> None:
        """One user less; the last one closes the backend."""
        with self._lock:
            self._count_dropped()
            self._count_less(lease)
            entry = self._entries.get(lease[0])
            unused = [] if entry is None or entry.users else [self._entries.pop(lease[0])]
        _close(unused)

    def users(self, name: str) -> int:
        """How many hold a backend of a model."""
        with self._lock:
            self._count_dropped()
            return sum(entry.users for key, entry in self._entries.items() if key[0] == name)

    def has(self, key: _Key) -> bool:
        """Whether `acquire` would return a backend that is in memory already."""
        with self._lock:
            entry = self._entries.get(key)
            return entry is not None and entry.backend is not None and not entry.backend.closed

    def _count_dropped(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._count_less(self._dropped.get_nowait())

    def _count_less(self, lease: _Lease) -> None:
        key, backend = lease
        entry = self._entries.get(key)
        if entry is not None and entry.backend is backend:  # no lease from before a fork
            entry.users -= 1
            entry.idle_since = time.monotonic()

    def _unused(self, since: float) -> list[_Entry]:
        """Take out all entries that nobody has used since some time."""
        keys = [key for key, one in self._entries.items() if not one.users]
        return [self._entries.pop(key) for key in keys if self._entries[key].idle_since <= since]

    def _reap(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                self._woken.get(timeout=self._until_next())
            with self._lock:
                self._count_dropped()
                unused = self._unused(time.monotonic() - self._linger)
            _close(unused)
            del unused

    def _until_next(self) -> float | None:
        """Seconds until a backend has lingered long enough; None while none does."""
        with self._lock:
            idle = [entry.idle_since for entry in self._entries.values() if not entry.users]
        return max(0.0, min(idle) + self._linger - time.monotonic()) if idle else None


def _close(entries: Iterable[_Entry]) -> None:
    for entry in entries:
        if entry.backend is not None:
            _LOG.info("%s is closed: nobody uses it any more", entry.backend.name)
            entry.backend.close()


def _load(name: str, config: LoadConfig) -> Backend:
    # These bring torch: a model is wanted.
    from memvr_integrations.backend.hosting.loading import load_model
    from memvr_integrations.backend.serving.backend import Backend

    return Backend(load_model(name, config))


SHARED = Registry(_load)
os.register_at_fork(after_in_child=SHARED.forget)


class Leases:
    """What one model object holds of the registry: nothing until it is used.

    Copies and pickles of it hold nothing. Dropping it gives everything back.
    """

    def __init__(self, registry: Registry = SHARED) -> None:
        self._registry = registry
        self._held: dict[_Key, Backend] = {}
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _give_back, registry.drop, self._held)

    def get(self, name: str, config: LoadConfig) -> Backend:
        """The backend of a model; loads it where nobody has."""
        key = _key(name, config)
        with self._lock:
            if not self.holds(name, config):
                self._held[key] = self._registry.acquire(key, memvr=config.memvr)
            return self._held[key]

    async def aget(self, name: str, config: LoadConfig) -> Backend:
        """`get` for asyncio: loading does not hold up the loop."""
        if self.holds(name, config):
            return self.get(name, config)
        return await asyncio.to_thread(self.get, name, config)

    def holds(self, name: str, config: LoadConfig) -> bool:
        """Whether `get` would return at once."""
        backend = self._held.get(_key(name, config))
        return backend is not None and not backend.closed

    def shares(self, name: str, config: LoadConfig) -> bool:
        """Whether `get` would give what is in memory already, here or with somebody else."""
        return self.holds(name, config) or self._registry.has(_key(name, config))

    def release(self) -> None:
        """Give everything back; the next `get` takes it anew."""
        with self._lock:
            _give_back(self._registry.release, self._held)

    def __eq__(self, other: object) -> bool:
        """What is in memory makes no difference between two models."""
        return isinstance(other, Leases)

    def __hash__(self) -> int:
        """The same for all."""
        return hash(Leases)

    def __copy__(self) -> Self:
        """A fresh one."""
        return type(self)(self._registry)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """A fresh one."""
        return type(self)(self._registry)

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        """A fresh one, of the registry of the process that reads it."""
        return type(self), ()


def _key(name: str, config: LoadConfig) -> _Key:
    """The same with MemVR and without: it is the same model in memory."""
    return name, replace(config, memvr=True)


def _give_back(give: Callable[[_Lease], None], held: dict[_Key, Backend]) -> None:
    while held:
        give(held.popitem())
