import logging

import pytest
from busy import Busy, at_once  # noqa: F401  # a fixture
from scripted_engine import ScriptedEngine

from memvr_integrations import errors
from memvr_integrations.types import Request
from memvr_integrations.wire.retries import aask, achunks, ascore, ask, chunks, score

pytestmark = pytest.mark.usefixtures("at_once")

HELLO = Request.ask("Hello")
HURRIED = Request.ask("Hello", timeout=1e-9)


class BusyEngine(ScriptedEngine):
    """Fails some times at first; its streams before a chunk or, where `late`, after one."""

    def __init__(self, times, error=errors.QueueFullError, *, late=False):
        super().__init__()
        self.busy, self.late = Busy(times, error), late

    def generate(self, requests):
        self.busy()
        return super().generate(requests)

    def score(self, request, answers, *, exclusive=True):
        self.busy()
        return super().score(request, answers, exclusive=exclusive)

    def stream(self, request):
        if self.late:
            yield from list(super().stream(request))[:1]
        self.busy()
        yield from super().stream(request)


async def every_way(engine, request, retries):
    """What each of the functions gives, as a text, or the error that it ends in."""

    async def aiter():
        return "".join([chunk.text async for chunk in achunks(engine, request, retries)])

    async def once():
        return (await aask(engine, request, retries)).text

    async def likely():
        return said(await ascore(engine, request, ["Yes"], retries))

    def said(scores):
        assert scores == [-1.0]
        return "This is what the script says."

    yield lambda: said(score(engine, request, ["Yes"], retries))
    yield lambda: ask(engine, request, retries).text
    yield lambda: "".join(chunk.text for chunk in chunks(engine, request, retries))
    for work in (once, aiter, likely):
        yield work


async def result(way):
    found = way()
    return found if isinstance(found, str) else await found


async def test_a_full_queue_is_tried_again(caplog):
    caplog.set_level(logging.INFO, "memvr_integrations")
    engine = BusyEngine(0)
    async for way in every_way(engine, HELLO, 2):  # there is time, so more often than twice
        engine.busy = Busy(9)
        assert await result(way) == "This is what the script says."
        assert engine.busy.calls == 10
    assert "The queue is full; attempt 10" in caplog.text


@pytest.mark.parametrize(
    ("error", "retries", "calls"),
    [(errors.QueueFullError, 2, 3), (errors.QueueFullError, 0, 1), (errors.RequestError, 2, 1)],
    ids=["full", "once", "wrong"],
)
async def test_in_the_end_the_error_comes_out(error, retries, calls):
    engine = BusyEngine(0)
    async for way in every_way(engine, HURRIED, retries):
        engine.busy = Busy(9, error)
        with pytest.raises(error):
            await result(way)
        assert engine.busy.calls == calls


async def test_a_stream_that_has_begun_is_not_tried_again():
    engine = BusyEngine(1, late=True)
    with pytest.raises(errors.QueueFullError):
        list(chunks(engine, HELLO, 2))
    engine.busy = Busy(1)
    with pytest.raises(errors.QueueFullError):
        [chunk async for chunk in achunks(engine, HELLO, 2)]
    assert engine.busy.calls == 1


def test_no_wait_outlasts_the_requests_time(monkeypatch):
    def slept(seconds):
        nonlocal now
        now += seconds

    now = 100.0
    monkeypatch.setattr("tenacity.nap.time.sleep", slept)
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("random.uniform", lambda least, most: most)
    engine = BusyEngine(99)
    with pytest.raises(errors.QueueFullError):
        ask(engine, Request.ask("Hello", timeout=1.0), 2)
    assert now == pytest.approx(101.0)
