"""One backend for all who ask for the same model: loaded at the first use, closed after the last.

Integrations make many small model objects (a copy for every binding, one for each framework).
They share what is in memory through here.
"""

import queue
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

from memvr_integrations.backend.engine import Backend
from memvr_integrations.backend.loading import LoadConfig

_Key: TypeAlias = tuple[str, LoadConfig]


@dataclass
class _Entry:
    loading: threading.Lock = field(default_factory=threading.Lock)
    backend: Backend | None = None
    users: int = 0


class Registry:
    """Backends in use, counted."""

    def __init__(self, load: Callable[[str, LoadConfig], Backend]) -> None:
        self._load = load
        self._entries: dict[_Key, _Entry] = {}
        self._lock = threading.Lock()
        self._dropped: queue.SimpleQueue[_Key] = queue.SimpleQueue()
        self._reaper: threading.Thread | None = None

    def drop(self, key: _Key) -> None:
        """`release` at some later time, in another thread.

        For the garbage collector, which may run in any thread at any line, under any lock.
        """
        self._dropped.put(key)

    def acquire(self, key: _Key) -> Backend:
        """The backend of a model, loaded if nobody has it yet; give it back with `release`."""
        with self._lock:
            if self._reaper is None:
                self._reaper = threading.Thread(
                    target=self._reap, name="memvr-registry", daemon=True
                )
                self._reaper.start()
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
        try:
            with entry.loading:  # others wait for the first one's loading
                if entry.backend is None:
                    entry.backend = self._load(*key)
                return entry.backend
        except BaseException:
            self.release(key)
            raise

    def release(self, key: _Key) -> None:
        """One user less; the last one closes the backend."""
        with self._lock:
            entry = self._entries[key]
            entry.users -= 1
            if entry.users:
                return
            del self._entries[key]
        if entry.backend is not None:
            entry.backend.close()

    def _reap(self) -> None:
        while True:
            self.release(self._dropped.get())

    def users(self, name: str) -> int:
        """How many hold a backend of a model."""
        with self._lock:
            return sum(entry.users for key, entry in self._entries.items() if key[0] == name)


def _load(name: str, config: LoadConfig) -> Backend:
    return Backend.load(
        Path(name) if Path(name).is_dir() else name,
        device=config.device,
        dtype=config.dtype,
        quantization=config.quantization,
        attention=config.attention,
        revision=config.revision,
        progress=config.progress,
    )


SHARED = Registry(_load)


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
        key = (name, config)
        with self._lock:
            if key not in self._held:
                self._held[key] = self._registry.acquire(key)
            return self._held[key]

    def holds(self, name: str, config: LoadConfig) -> bool:
        """Whether `get` would return at once."""
        return (name, config) in self._held

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


def _give_back(give: Callable[[_Key], None], held: dict[_Key, Backend]) -> None:
    while held:
        key, _ = held.popitem()
        give(key)
