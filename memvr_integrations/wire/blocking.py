"""Waiting for asynchronous work from ordinary code, also inside a notebook's running loop."""

import asyncio
import contextvars
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(work: Coroutine[object, object, Found]) -> Found:
    """The result of some work; core's `asyncio_run` leaves its loops open."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, work).result()
