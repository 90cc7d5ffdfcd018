"""What a process holds: memory, threads and open files, before and after."""

import ctypes
import gc
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self
from xml.etree import ElementTree

import psutil

FEW = 20  # samples below which nothing is said about growth
LIMIT = 0.02


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a process holds after all garbage is gone.

    `resident` are bytes of the machine's memory, `asked` those that the C library gave out and did
    not get back (tensors among them; None where it isn't glibc), `blocks` Python's own pieces. A
    leak grows `asked` or `blocks`; what grows `resident` alone is room between them that the C
    library keeps, as it does for every thread's share.
    """

    resident: int
    asked: int | None
    blocks: int

    @classmethod
    def now(cls) -> Self:
        """What is held now."""
        gc.collect()
        asked = None
        if hasattr(library := ctypes.CDLL(None), "malloc_info"):
            library.malloc_trim(0)
            asked = _asked(library)
        resident = psutil.Process().memory_info().rss
        return cls(resident=resident, asked=asked, blocks=sys.getallocatedblocks())


def _asked(library: ctypes.CDLL) -> int:
    """Bytes that glibc gave out, by its own report."""
    library.open_memstream.restype = ctypes.c_void_p
    text, size = ctypes.c_char_p(), ctypes.c_size_t()
    stream = ctypes.c_void_p(library.open_memstream(ctypes.byref(text), ctypes.byref(size)))
    library.malloc_info(0, stream)
    library.fclose(stream)
    report = ElementTree.fromstring(text.value or b"<malloc/>")
    library.free(text)
    sums = {(one.tag, one.get("type")): int(one.get("size", 0)) for one in report}
    free = sums["total", "fast"] + sums["total", "rest"]
    return sums["system", "current"] - free + sums["total", "mmap"]


def growth(samples: Sequence[int]) -> tuple[float, float] | None:
    """Medians of the second and of the last fifth; None where there are too few."""
    if len(samples) < FEW:
        return None
    fifth = len(samples) // 5
    warm, last = samples[fifth : 2 * fifth], samples[-fifth:]
    return statistics.median(warm), statistics.median(last)


def eventually(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Whether it comes true within some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@dataclass(frozen=True, kw_only=True)
class Held:
    """The threads and the number of open files of this process at one moment."""

    threads: frozenset[threading.Thread]
    files: int

    @classmethod
    def now(cls) -> Self:
        """What is held now."""
        return cls(threads=frozenset(threading.enumerate()), files=psutil.Process().num_fds())

    def left_over(self, seconds: float = 60.0) -> list[str]:
        """What is held beyond this after some seconds for threads to end; each in a sentence."""
        eventually(lambda: set(threading.enumerate()) <= self.threads, seconds)
        extra = set(threading.enumerate()) - self.threads
        found = [f"the thread {thread.name!r} is left over" for thread in extra]
        files = psutil.Process().num_fds() - self.files
        return found + [f"{files} file(s) are left open"] * (files > 0)
