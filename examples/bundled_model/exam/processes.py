"""Spreads a measurement over processes that share the cores."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Self, TypeVar

import torch

Part = TypeVar("Part")
Found = TypeVar("Found")


class Processes:
    """Processes that take parts of the work; with one job all is done where it is asked for."""

    def __init__(self, jobs: int = 1) -> None:
        self._pool = None
        if jobs > 1:
            self._pool = ProcessPoolExecutor(
                jobs,
                # A forked process would inherit locks of threads that it doesn't have.
                mp_context=get_context("spawn"),
                initializer=torch.set_num_threads,
                initargs=(max(1, (os.cpu_count() or 1) // jobs),),
            )

    def map(self, work: Callable[[Part], Found], parts: Iterable[Part]) -> list[Found]:
        """What `work` makes of every part, in order; all that crosses to a process is pickled."""
        return list((self._pool.map if self._pool else map)(work, parts))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
