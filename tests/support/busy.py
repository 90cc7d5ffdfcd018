"""A queue that is full at first, and no time to wait for it."""

import pytest

from memvr_integrations import errors


class Busy:
    def __init__(self, times, error=errors.QueueFullError):
        self.times, self.error, self.calls = times, error, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error("busy")
        return self.calls


@pytest.fixture
def at_once(monkeypatch):
    """Retries that don't wait."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)

    async def none(seconds):
        return None

    monkeypatch.setattr("asyncio.sleep", none)
