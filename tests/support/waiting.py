"""Waiting for what a backend does in a thread of its own."""

import threading
import time


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
            assert go_on.wait(60), "nobody let it go on"

    passes.before = hold
    return go_on


def slow(seconds):
    return lambda rows: time.sleep(seconds)
