"""How requests become batches, and what happens to them when a batch fails."""

import asyncio
import contextlib
import gc
import random
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch

from memvr_integrations.backend import QueueConfig, Request
from memvr_integrations.backend.serving import worker
from memvr_integrations.errors import (
    ConfigError,
    GenerationError,
    ImageError,
    MemoryExhaustedError,
    MemVRError,
    RequestError,
)
from memvr_integrations.memvr import MemVRConfig


@pytest.fixture
def patient(make_backend):
    return make_backend(queueing=QueueConfig(max_batch=8))


def texts(answers):
    return [answer.text for answer in answers]


def failing(monkeypatch, reason):
    """Make `run_batch` fail where `reason(rows)` gives an exception; returns the batch sizes."""
    sizes, run = [], worker.run_batch

    def run_or_fail(host, rows):
        sizes.append(len(rows))
        error = reason(rows)
        if error:
            raise error
        run(host, rows)

    monkeypatch.setattr(worker, "run_batch", run_or_fail)
    return sizes


# -- batches


@pytest.mark.parametrize(
    "settings",
    [
        {"max_batch": 0},
        {"max_waiting": 0},
        {"gather_seconds": -1},
        {"gather_seconds": float("nan")},
    ],
)
def test_a_queue_that_nothing_leaves_is_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        QueueConfig(**settings)


def test_a_list_is_one_batch_whatever_the_patience(make_backend, ask):
    backend = make_backend(queueing=QueueConfig(gather_seconds=0))
    backend.generate([ask(f"{n}?", n % 6, max_tokens=1) for n in range(8)])
    assert backend.batches == 1


def waiting_for(rows):
    """A batch begins when so many are there, however slow the machine is."""
    return QueueConfig(max_batch=rows, gather_seconds=60)


async def test_near_simultaneous_callers_share_a_batch(make_backend, ask):
    patient = make_backend(queueing=waiting_for(4))
    await asyncio.gather(*(patient.agenerate(ask(f"{n}?", max_tokens=2)) for n in range(4)))
    assert patient.batches == 1
    threads = [
        threading.Thread(target=patient.generate, args=(ask(f"{n}?", max_tokens=2),))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert patient.batches == 2


def test_max_batch_bounds_a_batch_and_a_full_one_does_not_wait(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=3, gather_seconds=0))
    with endless(backend) as passes:
        backend.generate([ask(f"{n}?", max_tokens=2) for n in range(7)])
    assert backend.batches == 3
    assert max(passes.rows) == 3


def test_alternatives_beyond_a_batch_are_all_computed(make_backend, ask):
    backend = make_backend(queueing=QueueConfig(max_batch=2))
    [answer] = backend.generate(ask(n=5, temperature=1.0, seed=1, max_tokens=2))
    assert len(answer.alternatives) == 4
    assert backend.batches == 3


def test_formulas_that_do_not_mix_run_apart(patient, ask):
    paper = MemVRConfig.preset("paper").for_depth(12)
    llava = MemVRConfig.preset("llava").for_depth(12)
    requests = [ask("What?", n, memvr=c, max_tokens=3) for n, c in enumerate([paper, llava] * 2)]
    answers = patient.generate(requests)
    assert patient.batches == 2
    assert [answer.memvr for answer in answers] == [paper, llava, paper, llava]
    assert texts(answers) == [patient.generate(request)[0].text for request in requests]


# -- failures


async def outcomes(backend, requests):
    results = await asyncio.gather(
        *(backend.agenerate(request) for request in requests), return_exceptions=True
    )
    return [r if isinstance(r, BaseException) else r[0] for r in results]


async def test_a_prompt_that_is_too_long_fails_alone(make_backend, ask):
    patient = make_backend(queueing=waiting_for(3))
    results = await outcomes(
        patient, [ask("One?", max_tokens=2), ask("w " * 3000), ask("Two?", 0, max_tokens=2)]
    )
    assert isinstance(results[1], RequestError)
    assert "2047" in str(results[1])
    assert results[0].tokens
    assert results[2].tokens
    assert patient.batches == 1


async def test_an_impossible_window_fails_alone(patient, ask):
    beyond = MemVRConfig(starting_layer=2, ending_layer=30)
    results = await outcomes(
        patient, [ask("One?", 0, max_tokens=2), ask("Two?", 1, memvr=beyond, max_tokens=2)]
    )
    assert isinstance(results[1], ConfigError)
    assert "6 layers" in str(results[1])
    assert results[0].tokens


async def test_an_exception_for_one_row_reaches_that_one(patient, ask, monkeypatch):
    def reason(rows):
        bad = any("bad" in row.job.request.messages[0].content[-1].text for row in rows)
        return ArithmeticError("no numbers left") if bad else None

    failing(monkeypatch, reason)
    requests = [ask(f"{word}?", max_tokens=3) for word in ("one", "bad", "two")]
    results = await outcomes(patient, requests)
    assert isinstance(results[1], GenerationError)
    assert "ArithmeticError: no numbers left" in str(results[1])
    assert isinstance(results[1].__cause__, ArithmeticError)
    monkeypatch.undo()
    assert results[0] == (await patient.agenerate(requests[0]))[0]
    assert results[2].tokens


async def test_a_tokeniser_that_fails_fails_alone(patient, ask, monkeypatch):
    fitted = patient._host.prompts.fitted

    def failing(request, pictures):
        if "bad" in request.messages[0].content[-1].text:
            raise ZeroDivisionError("in the template")
        return fitted(request, pictures)

    monkeypatch.setattr(patient._host.prompts, "fitted", failing)
    results = await outcomes(patient, [ask("bad?"), ask("good?", max_tokens=2)])
    assert isinstance(results[0], GenerationError)
    assert results[1].tokens


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_is_retried_in_halves(patient, ask, monkeypatch, error):
    requests = [ask(f"{n}?", n, max_tokens=4) for n in range(6)]
    expected = patient.generate(requests)
    sizes = failing(monkeypatch, lambda rows: error if len(rows) > 2 else None)
    answers = patient.generate(requests)
    assert sizes == [6, 3, 1, 1, 1, 3, 1, 1, 1]
    assert [[t.id for t in a.tokens] for a in answers] == [
        [t.id for t in a.tokens] for a in expected
    ]


def test_a_log_says_how_batches_went_and_never_what_was_asked(patient, ask, monkeypatch, caplog):
    failing(monkeypatch, lambda rows: MemoryError() if len(rows) > 1 else None)
    with caplog.at_level("DEBUG", logger="memvr_integrations"):
        patient.generate([ask("Secret?", 0, max_tokens=1), ask("Secret?", 1, max_tokens=1)])
    assert "a batch of 2 rows; 0 wait" in caplog.messages
    assert "a batch of 2 rows ran out of memory; 1 at a time now" in caplog.messages
    assert "encoded an image as 64 tokens" in caplog.messages
    assert "Secret" not in caplog.text


def test_out_of_memory_for_a_single_request_gives_advice(patient, ask, monkeypatch):
    failing(monkeypatch, lambda rows: torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(
        MemoryExhaustedError, match=r"smaller images.*quantization='4bit'"
    ) as caught:
        patient.generate([ask("One?"), ask("Two?")])
    assert isinstance(caught.value, MemVRError | MemoryError)
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    monkeypatch.undo()
    assert patient.generate(ask(max_tokens=1))[0].tokens


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), ValueError("odd")])
async def test_what_was_given_stays_true_after_a_retry(make_backend, ask, endless, error):
    """A batch that fails after five tokens goes on where it was, sampled or not."""
    requests = [
        ask("Describe.", 0, max_tokens=10, temperature=1.5, seed=5, n=2),
        ask("Describe.", 1, max_tokens=12),
        ask("Unseeded.", max_tokens=9, temperature=2.0),
    ]
    patient = make_backend(queueing=waiting_for(4))
    with endless(patient) as passes:
        expected = make_backend().generate(requests[:2])

        def fail_once(rows):
            if rows > 2 and passes.forwards == 5:
                raise error

        passes.forwards, passes.before = 0, fail_once

        async def collect(request):
            chunks = [chunk async for chunk in patient.astream(request)]
            for index in range(request.sampling.n):
                own = [chunk for chunk in chunks if chunk.index == index]
                completion = own[-1].completion
                assert "".join(chunk.text for chunk in own) == completion.text
                given = tuple(token for chunk in own for token in chunk.tokens)
                assert given == completion.tokens
                assert len(given) == request.sampling.max_tokens
            return {chunk.index: chunk.completion for chunk in chunks if chunk.completion}

        got = await asyncio.gather(*(collect(request) for request in requests))
    assert passes.forwards > 5 + 12
    ids = [[token.id for token in got[0][index].tokens] for index in (0, 1)]
    assert ids[0] == [token.id for token in expected[0].tokens]
    assert ids[1] == [token.id for token in expected[0].alternatives[0].tokens]
    assert [t.id for t in got[1][0].tokens] == [t.id for t in expected[1].tokens]


def test_a_retry_goes_on_from_the_given_tokens_even_if_it_would_choose_others(patient, ask):
    """Rows alone and rows together may round differently: what was given is forced."""
    requests = [ask("Describe.", n, memvr=None, max_tokens=8) for n in (0, 1)]
    forwards, failing_once = 0, False

    def disturb(module, args, out):
        nonlocal forwards
        out.logits[..., 2] = -torch.inf
        if failing_once:
            forwards += 1
            if forwards == 5:
                raise ValueError("after four tokens")
            if forwards > 5 and (forwards - 6) % 8 < 4:
                out.logits[..., 700] = 1000.0
        return out

    handle = patient._host.model.register_forward_hook(disturb)
    try:
        expected = patient.generate(requests)
        failing_once = True
        got = patient.generate(requests)
    finally:
        handle.remove()
    assert forwards == 5 + 2 * 8
    assert [[t.id for t in a.tokens] for a in got] == [[t.id for t in a.tokens] for a in expected]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_the_thread_nobody_waits_for_ever(make_backend, ask, monkeypatch):
    backend = make_backend()

    def vanish(rows):
        raise SystemExit

    monkeypatch.setattr(backend._worker, "_attempt", vanish)
    with pytest.raises(MemVRError, match="closed"):
        backend.generate(ask(timeout=60))
    backend._worker._thread.join(60)
    with pytest.raises(MemVRError, match="closed"):
        backend.generate(ask(timeout=60))


async def test_all_who_waited_may_leave(make_backend, ask):
    """While a batch waits for company, its only row can go, and another caller sweep it away."""
    backend = make_backend(queueing=QueueConfig(gather_seconds=0.3))
    for _ in range(2):
        leaving = asyncio.create_task(backend.agenerate(ask("Is there a dog?", max_tokens=2)))
        await asyncio.sleep(0.1)
        leaving.cancel()
        await asyncio.sleep(0.02)
        with pytest.raises(ImageError):
            await backend.agenerate(Request.ask("What?", Path("nowhere.png")))
        await asyncio.sleep(0.4)
    assert not backend.closed
    assert (await backend.agenerate(ask("Is there a cat?", max_tokens=2)))[0].tokens


async def test_impatient_callers_spoil_nothing(make_backend, ask):
    backend, rng = make_backend(), random.Random(1)
    for _ in range(60):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rng.random() * 0.05):
                await backend.agenerate(ask("Is there a dog?", 0, max_tokens=8))
    assert (await backend.agenerate(ask("Is there a cat?", max_tokens=2)))[0].tokens


def test_a_request_of_nothing_but_an_image_is_answered(patient, scenes):
    from memvr_integrations.backend import Image, Message

    request = Request(messages=(Message("user", Image(scenes[0].pixels)),))
    assert patient.generate(request)[0].usage.image_tokens == 64


def test_a_failed_batch_is_let_go_before_its_halves_run(patient, ask, monkeypatch):
    """Out of memory is no time to keep tensors."""
    held, seen = [], []

    def run_or_fail(host, rows):
        if len(rows) > 1:
            large = torch.zeros(1000)
            held.append(weakref.ref(large))
            raise torch.OutOfMemoryError("CUDA out of memory")
        seen.extend(ref() is not None for ref in held)
        run(host, rows)

    run = worker.run_batch
    monkeypatch.setattr(worker, "run_batch", run_or_fail)
    patient.generate([ask(max_tokens=1), ask(max_tokens=1)])
    assert held
    assert seen
    assert not any(seen)


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
