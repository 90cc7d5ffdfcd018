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

import psutil

FEW = 20  # samples below which nothing is said about growth
LIMIT = 0.02


def memory() -> int:
    """Bytes in memory after all garbage is gone."""
    gc.collect()
    if sys.platform == "linux":  # what is free but not given back is no leak
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss


def growth(samples: Sequence[int]) -> tuple[float, float] | None:
    """Medians of the second and of the last fifth, in MiB; None where there are too few."""
    if len(samples) < FEW:
        return None
    fifth = len(samples) // 5
    warm, last = samples[fifth : 2 * fifth], samples[-fifth:]
    return statistics.median(warm) / 2**20, statistics.median(last) / 2**20


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
