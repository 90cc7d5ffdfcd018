"""Waiting for what a backend does in a thread of its own."""

import time


def eventually(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def idle(backend):
    """Whether the inference thread has nothing to do."""
    return not backend._worker._running and not backend._worker._waiting


def slow(seconds):
    return lambda rows: time.sleep(seconds)
