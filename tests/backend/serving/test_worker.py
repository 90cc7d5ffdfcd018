"""The thread that owns the model: who joins, who fails alone, and who may leave."""

import asyncio
import contextlib
import gc
import random
import time
import weakref

import pytest

from memvr_integrations.backend import Request
from memvr_integrations.errors import (
    ConfigError,
    GenerationError,
    MemVRError,
    RequestError,
)
from memvr_integrations.memvr import MemVRConfig


async def outcomes(backend, requests):
    results = await asyncio.gather(
        *(backend.agenerate(request) for request in requests), return_exceptions=True
    )
    return [r if isinstance(r, BaseException) else r[0] for r in results]


async def test_a_prompt_that_is_too_long_fails_alone(fresh, ask):
    results = await outcomes(
        fresh, [ask("One?", max_tokens=2), ask("w " * 3000), ask("Two?", 0, max_tokens=2)]
    )
    assert isinstance(results[1], RequestError)
    assert "2047" in str(results[1])
    assert results[0].tokens
    assert results[2].tokens


async def test_an_impossible_window_fails_alone(fresh, ask):
    beyond = MemVRConfig(starting_layer=2, ending_layer=30)
    results = await outcomes(
        fresh, [ask("One?", 0, max_tokens=2), ask("Two?", 1, memvr=beyond, max_tokens=2)]
    )
    assert isinstance(results[1], ConfigError)
    assert "6 layers" in str(results[1])
    assert results[0].tokens


async def test_a_tokeniser_that_fails_fails_alone(fresh, ask, monkeypatch):
    fitted = fresh._host.prompts.fitted

    def failing(request, pictures):
        if "bad" in request.messages[0].content[-1].text:
            raise ZeroDivisionError("in the template")
        return fitted(request, pictures)

    monkeypatch.setattr(fresh._host.prompts, "fitted", failing)
    results = await outcomes(fresh, [ask("bad?"), ask("good?", max_tokens=2)])
    assert isinstance(results[0], GenerationError)
    assert results[1].tokens


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_the_thread_nobody_waits_for_ever(make_backend, ask, monkeypatch):
    backend = make_backend()

    def vanish():
        raise SystemExit

    monkeypatch.setattr(backend._worker._running, "step", vanish)
    with pytest.raises(MemVRError, match="closed"):
        backend.generate(ask(timeout=60))
    backend._worker._thread.join(60)
    with pytest.raises(MemVRError, match="closed"):
        backend.generate(ask(timeout=60))


async def test_imfresh_callers_spoil_nothing(make_backend, ask):
    backend, rng = make_backend(), random.Random(1)
    for _ in range(60):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rng.random() * 0.05):
                await backend.agenerate(ask("Is there a dog?", 0, max_tokens=8))
    assert (await backend.agenerate(ask("Is there a cat?", max_tokens=2)))[0].tokens


def test_a_request_of_nothing_but_an_image_is_answered(fresh, scenes):
    from memvr_integrations.backend import Image, Message

    request = Request(messages=(Message("user", Image(scenes[0].pixels)),))
    assert fresh.generate(request)[0].usage.image_tokens == 64


def test_an_idle_backend_holds_no_request(make_backend, ask):
    backend = make_backend()
    jobs = []
    submit = backend._worker.submit

    def note(*given):
        jobs.extend(weakref.ref(job) for job in given)
        submit(*given)

    backend._worker.submit = note
    backend.generate(ask("Who?", 0, max_tokens=1))
    end = time.monotonic() + 60
    while any(job() is not None for job in jobs):
        time.sleep(0.1)  # a loop of collecting alone would keep the worker from ever ending
        gc.collect()
        assert time.monotonic() < end, "the request lives on"
