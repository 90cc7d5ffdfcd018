"""Waiting for what a backend does in a thread of its own."""

import asyncio
import threading
import time
from contextlib import contextmanager

from memvr_integrations.backend import Request, SamplingParams


def eventually(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def idle(backend):
    """Whether the inference thread has nothing to do."""
    return not backend.busy


def held_at(passes, forwards):
    """Let a model stop in the forward after so many, until the event that comes back is set."""
    go_on = threading.Event()

    def hold(rows):
        if passes.forwards >= forwards:
            passes.held = True
            assert go_on.wait(60), "nobody let it go on"

    passes.before = hold
    return go_on


def come_later(backend, passes, first, later):
    """Let two come while the first is held in a step; its chunks, and their answers."""
    go_on = held_at(passes, passes.forwards + 1)
    stream = backend.stream(first)
    begun = [next(stream)]

    async def come():
        tasks = [asyncio.ensure_future(backend.agenerate(one)) for one in later]
        while len(backend._worker._waiting) < len(later):
            await asyncio.sleep(0.01)
        go_on.set()
        return [one for [one] in await asyncio.gather(*tasks)]

    joined = asyncio.run(come())
    return [*begun, *stream], joined


def slow(seconds):
    return lambda rows: time.sleep(seconds)


@contextmanager
def together(backend, *, rows):
    """What is asked within begins in one step: the model is held until so many rows wait.

    A request of one token holds it, and has left before they begin.
    """
    entered, go_on = threading.Event(), threading.Event()

    def hold(module, args):
        entered.set()
        assert go_on.wait(60), "nobody let it go on"

    def let_go():
        eventually(lambda: len(backend._worker._waiting) >= rows)
        go_on.set()

    handle = backend._host.model.register_forward_pre_hook(hold)
    holder = Request.ask("Wait.", sampling=SamplingParams(max_tokens=1))
    threads = [
        threading.Thread(target=backend.generate, args=[holder]),
        threading.Thread(target=let_go),
    ]
    threads[0].start()
    assert entered.wait(60)
    handle.remove()
    threads[1].start()
    yield
    for thread in threads:
        thread.join(60)
