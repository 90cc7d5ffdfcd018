"""The backend as its callers see it: four ways to ask, cancelling, time-outs, closing."""

import asyncio
import gc
import random
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch

from memvr_integrations.backend import (
    Backend,
    Engine,
    Image,
    Message,
    QueueConfig,
    Request,
    engine,
)
from memvr_integrations.errors import (
    BackendClosedError,
    ImageError,
    MemVRWarning,
    QueueFullError,
    RequestTimeoutError,
)
from memvr_integrations.memvr import MemVRConfig

ALWAYS = MemVRConfig(starting_layer=2, ending_layer=9, entropy_threshold=0.0, retracing_ratio=0.2)


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


# -- four ways to ask


async def drain(chunks):
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize("options", [{}, {"memvr": None}, {"temperature": 1.0, "seed": 3}])
async def test_all_ways_give_one_answer(backend, ask, options):
    request = ask("Describe the picture.", 0, max_tokens=12, **options)
    ways = {
        "generate": (await asyncio.to_thread(backend.generate, [request]))[0],
        "stream": (await asyncio.to_thread(lambda: list(backend.stream(request))))[-1].completion,
        "agenerate": (await backend.agenerate([request]))[0],
        "astream": (await drain(backend.astream(request)))[-1].completion,
    }
    first = ways["generate"]
    assert all(answer == first for answer in ways.values())
    assert first.text
    assert "ASSISTANT" not in first.text
    assert "Describe" not in first.text


def test_the_chunks_of_a_stream_are_the_completion(backend, ask):
    chunks = list(backend.stream(ask("Describe the picture.", 0, 1, max_tokens=15)))
    completion = chunks[-1].completion
    assert [chunk.completion for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert len(chunks) > 1
    assert "".join(chunk.text for chunk in chunks) == completion.text
    assert tuple(token for chunk in chunks for token in chunk.tokens) == completion.tokens
    assert "".join(token.text for token in completion.tokens) == completion.text
    assert len(completion.tokens) == completion.usage.completion_tokens


def test_a_stream_tells_tokens_while_the_rest_is_computed(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        seen = []
        for chunk in backend.stream(ask(max_tokens=12)):
            seen.append(passes.forwards)
            time.sleep(0.005)
            del chunk
        assert seen[0] < 12
        assert passes.forwards == 12


def test_one_request_may_stand_alone(backend, ask):
    assert len(backend.generate(ask(max_tokens=1))) == 1
    assert backend.generate([]) == []
    assert asyncio.run(backend.agenerate([])) == []
    assert len(asyncio.run(backend.agenerate(ask(max_tokens=1)))) == 1


def test_a_backend_is_an_engine(backend):
    engine: Engine = backend
    assert (engine.name, backend.calibrated) == ("bundled", True)
    assert backend.preset.ending_layer <= 12


def test_alternatives(backend, ask):
    request = ask("Describe the picture.", 0, n=3, temperature=1.5, seed=11, max_tokens=8)
    [first], [again] = backend.generate(request), backend.generate(request)
    assert first == again
    answers = [first, *first.alternatives]
    assert len({answer.text for answer in answers}) > 1
    assert all(not answer.alternatives for answer in answers[1:])
    alone = ask("Describe the picture.", 0, temperature=1.5, seed=12, max_tokens=8)
    assert backend.generate(alone)[0].text == first.alternatives[0].text
    by_index = {c.index: c.completion for c in backend.stream(request) if c.completion}
    assert [by_index[index].text for index in range(3)] == [answer.text for answer in answers]


def test_unseeded_sampling_differs(backend, ask):
    request = ask("Describe the picture.", 0, n=4, temperature=3.0, max_tokens=10)
    [first] = backend.generate(request)
    assert len({first.text, *(other.text for other in first.alternatives)}) > 1


# -- what comes in


def test_a_bad_image_raises_before_anything_is_queued(make_backend, ask):
    backend = make_backend()
    bad = Request.ask("What?", b"no image at all")
    for way in (backend.generate, lambda r: list(backend.stream(r))):
        with pytest.raises(ImageError, match="15 bytes looks like text"):
            way(bad)
    with pytest.raises(ImageError):
        asyncio.run(backend.agenerate([bad]))
    with pytest.raises(ImageError):
        backend.generate([ask(), bad])
    assert backend.batches == 0


async def test_a_bad_request_does_not_harm_its_neighbours(backend, ask):
    requests = [ask("One?", 0, max_tokens=4), Request.ask("?", b"bad"), ask("Two?", max_tokens=4)]
    results = await asyncio.gather(
        *(backend.agenerate(request) for request in requests), return_exceptions=True
    )
    assert isinstance(results[1], ImageError)
    assert [len(results[i][0].tokens) > 0 for i in (0, 2)] == [True, True]


def test_a_photograph_gets_a_hint_and_an_answer(backend):
    noise = torch.rand(480, 640, 3, generator=torch.Generator().manual_seed(0)).numpy()
    with pytest.warns(MemVRWarning, match="smolvlm-256m"):
        [answer] = backend.generate(Request.ask("What is this?", noise))
    assert answer.usage.image_tokens == 64


def test_drawn_scenes_get_no_hint(backend, ask):
    backend.generate([ask("What?", number, max_tokens=1) for number in range(6)])


# -- leaving early


def test_closing_a_stream_stops_the_computing(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        stream = backend.stream(ask("Describe.", 0, max_tokens=400))
        next(stream)
        stream.close()
        eventually(lambda: idle(backend))
        assert passes.forwards < 60
    assert backend.generate(ask(max_tokens=2))[0].usage.completion_tokens <= 2


def test_breaking_out_of_a_for_loop_does_the_same(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        for _ in backend.stream(ask(max_tokens=400)):
            break
        gc.collect()
        eventually(lambda: idle(backend))
        assert passes.forwards < 60


async def test_cancelling_a_task_stops_the_computing(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        passes.before = slow(0.005)
        tasks = [asyncio.create_task(backend.agenerate([ask(max_tokens=900)])) for _ in range(2)]
        while passes.forwards < 3:
            await asyncio.sleep(0.01)
        tasks[0].cancel()
        tasks[1].cancel()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task
        while not idle(backend):
            await asyncio.sleep(0.01)
        assert passes.forwards < 100
    assert (await backend.agenerate(ask(max_tokens=2)))[0].tokens


async def test_one_row_leaves_and_the_others_finish(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(gather_seconds=0.2))
    with endless(backend):
        leaving, staying = ask(max_tokens=300), ask("Where?", max_tokens=20)
        stream = backend.astream(leaving)
        other = asyncio.create_task(backend.agenerate([staying]))
        await anext(stream)
        await stream.aclose()
        [done] = await other
        assert done.usage.completion_tokens == 20
    assert backend.batches == 1


async def test_an_abandoned_picture_is_never_queued(make_backend, ask, monkeypatch):
    from memvr_integrations.backend import engine

    backend, begun, go_on = make_backend(), threading.Event(), threading.Event()
    load = engine.load_image

    def waiting(*args):
        begun.set()
        assert go_on.wait(10)
        return load(*args)

    monkeypatch.setattr(engine, "load_image", waiting)
    task = asyncio.create_task(backend.agenerate([ask("What?", 0)]))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.sleep(0.2)
    eventually(lambda: idle(backend))
    assert backend.batches == 0


def failing_to_load(seconds):
    def load(*args):
        time.sleep(seconds)
        raise ImageError("too late")

    return load


async def test_the_time_out_counts_the_decoding_of_pictures(make_backend, ask, monkeypatch):
    from memvr_integrations.backend import engine

    monkeypatch.setattr(engine, "load_image", failing_to_load(0.5))
    started = time.monotonic()
    with pytest.raises(RequestTimeoutError):
        await make_backend().agenerate([ask("What?", 0, timeout=0.05)])
    assert time.monotonic() - started < 0.4


# -- time-outs


def test_a_time_out_ends_an_answer_in_the_middle(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        passes.before = slow(0.01)
        started = time.monotonic()
        with pytest.raises(RequestTimeoutError, match=r"timeout=0\.3 s.*max_tokens"):
            backend.generate(ask(max_tokens=900, timeout=0.3))
        assert time.monotonic() - started < 1.5
        eventually(lambda: idle(backend))
        assert passes.forwards < 100


async def test_a_time_out_counts_the_queue(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=1))
    with endless(backend) as passes:
        passes.before = slow(0.01)
        first = backend.stream(ask(max_tokens=900))
        next(first)
        for way in (
            lambda r: asyncio.to_thread(backend.generate, [r]),
            lambda r: backend.agenerate([r]),
        ):
            started = time.monotonic()
            with pytest.raises(RequestTimeoutError, match=r"timeout=0\.1 s"):
                await way(ask(timeout=0.1))
            assert time.monotonic() - started < 1.0
        first.close()
    assert (await backend.agenerate(ask(max_tokens=1, timeout=60)))[0].tokens
    assert backend.batches == 2


# -- the queue


def test_a_full_queue_says_so_and_those_who_left_keep_no_place(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=1, max_waiting=2))
    with endless(backend) as passes:
        passes.before = slow(0.01)
        first = backend.stream(ask(max_tokens=900))
        next(first)
        waiting = [threading.Thread(target=lambda: _quietly(backend, ask)) for _ in range(2)]
        for thread in waiting:
            thread.start()
        eventually(lambda: len(backend._worker._waiting) == 2)
        with pytest.raises(QueueFullError, match="max_waiting=2"):
            backend.generate(ask())
        for thread in waiting:
            thread.join()  # their time-outs pass, but their rows are in the queue still
        last = backend.stream(ask(max_tokens=1, timeout=5))
        first.close()
        assert list(last)[-1].completion


def _quietly(backend, ask):
    with pytest.raises(RequestTimeoutError):
        backend.generate(ask(timeout=0.4))


def test_a_list_longer_than_the_queue_is_answered(make_backend, ask):
    backend = make_backend(queueing=QueueConfig(max_waiting=2))
    requests = [ask(f"{word}?", max_tokens=2) for word in ("one", "two", "three", "four", "five")]
    answers = backend.generate(requests)
    assert asyncio.run(backend.agenerate(requests)) == answers
    assert len(answers) == 5


# -- many at once


async def test_fifty_streams_with_cancellations(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=8))
    rng = random.Random(4)
    requests = [
        ask(
            f"Is there a dog at {n}?",
            *([n % 6] if n % 2 else []),
            max_tokens=4 + n % 7,
            seed=n,
            temperature=float(n % 3),
        )
        for n in range(50)
    ]
    with endless(backend):
        expected = {n: backend.generate(requests[n])[0] for n in range(0, 50, 7)}
        leaving = {n for n in range(50) if n not in expected and rng.random() < 0.5}

        async def one(number):
            pieces = ""
            async for chunk in backend.astream(requests[number]):
                pieces += chunk.text
                if chunk.completion:
                    assert pieces == chunk.completion.text
                    return chunk.completion
                await asyncio.sleep(0)
            raise AssertionError("a stream without an end")

        tasks = [asyncio.create_task(one(number)) for number in range(50)]
        await asyncio.sleep(0.05)
        for number in rng.sample(sorted(leaving), len(leaving)):
            await asyncio.sleep(rng.random() * 0.02)
            tasks[number].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for number, result in enumerate(results):
        if number in leaving and isinstance(result, asyncio.CancelledError):
            continue
        assert result.usage.completion_tokens == 4 + number % 7
    for number, answer in expected.items():
        assert [t.id for t in results[number].tokens] == [t.id for t in answer.tokens]
        assert results[number].text == answer.text
    assert any(isinstance(result, asyncio.CancelledError) for result in results)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    eventually(lambda: idle(backend))
    assert len([t for t in threading.enumerate() if t.name.startswith("memvr-intake")]) <= 2 * 16


async def test_breaking_out_of_async_streams_leaves_nothing_behind(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        for _ in range(5):
            stream = backend.astream(ask(max_tokens=500))
            async for _chunk in stream:
                break
            await stream.aclose()
        while not idle(backend):
            await asyncio.sleep(0.01)
        assert passes.forwards < 300
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_loop_that_is_gone_harms_nobody(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        passes.before = slow(0.01)
        loop = asyncio.new_event_loop()
        stream = backend.astream(ask(max_tokens=15))
        loop.run_until_complete(anext(stream))
        loop.close()
        eventually(lambda: idle(backend))
    assert backend.generate(ask(max_tokens=1))[0].tokens
    stream.aclose().close()


# -- the end


def test_closing_while_running_tells_those_who_wait(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=1))
    with endless(backend) as passes:
        passes.before = slow(0.01)
        errors = []

        def wait():
            with pytest.raises(BackendClosedError) as caught:
                backend.generate(ask(max_tokens=900))
            errors.append(caught.value)

        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        eventually(lambda: passes.forwards > 2 and len(backend._worker._waiting) == 2)
        started = time.monotonic()
        backend.close()
        for thread in threads:
            thread.join(5)
        assert time.monotonic() - started < 2
        assert len(errors) == 3
        assert passes.forwards < 300
    backend.close()
    with pytest.raises(BackendClosedError, match="load a new one"):
        backend.generate(ask())
    with pytest.raises(BackendClosedError):
        next(backend.stream(ask()))
    with pytest.raises(BackendClosedError):
        asyncio.run(backend.agenerate(ask()))
    assert not backend._worker._thread.is_alive()
    assert (backend.name, backend.images_encoded) == ("bundled", 0)


async def test_closing_while_pictures_are_decoded(make_backend, ask, monkeypatch):
    from memvr_integrations.backend import engine

    backend, begun, go_on = make_backend(), threading.Event(), threading.Event()
    load = engine.load_image

    def waiting(*args):
        begun.set()
        assert go_on.wait(10)
        return load(*args)

    monkeypatch.setattr(engine, "load_image", waiting)
    tasks = [asyncio.create_task(backend.agenerate([ask("What?", 0)])) for _ in range(5)]
    await asyncio.to_thread(begun.wait, 10)
    closing = asyncio.create_task(asyncio.to_thread(backend.close))
    await asyncio.sleep(0.05)
    go_on.set()
    await closing
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [BackendClosedError] * 5


def test_a_context_manager_closes(make_backend, ask):
    with make_backend() as backend:
        assert backend.generate(ask(max_tokens=1))
    with pytest.raises(BackendClosedError):
        backend.generate(ask())


def test_a_forgotten_backend_stops_its_thread(loaded, ask):
    backend = Backend(loaded)
    backend.generate(ask("What?", 0, max_tokens=2))
    thread, gone = backend._worker._thread, weakref.ref(backend)
    del backend
    gc.collect()
    assert gone() is None
    thread.join(5)
    assert not thread.is_alive()


def test_closing_lets_the_model_go(ask):
    backend = Backend.load("bundled", device="cpu", progress=False)
    backend.generate(ask("What?", 0, max_tokens=2, memvr=ALWAYS))
    model = weakref.ref(backend._host.model)
    backend.close()
    gc.collect()
    assert model() is None


def test_a_message_is_never_a_path(backend, scene_file):
    with pytest.raises(ImageError, match="never as a path"):
        backend.generate(Request.ask("What?", str(scene_file)))
    answer = backend.generate(Request.ask("What?", Path(scene_file)))[0]
    assert answer.usage.image_tokens == 64
    assert isinstance(Message("user", [Image(scene_file)]).content[0], Image)


async def test_text_does_not_wait_for_pictures_of_others(backend, ask, scenes, monkeypatch):
    """Not even when many pictures take their time."""
    release = threading.Event()
    load = engine.load_image

    def slow_load(source, policy):
        release.wait(10)
        return load(source, policy)

    monkeypatch.setattr(engine, "load_image", slow_load)
    waiting = [
        asyncio.ensure_future(backend.agenerate(ask("Who?", 0, max_tokens=1))) for _ in range(20)
    ]
    await asyncio.sleep(0.05)
    try:
        async with asyncio.timeout(8):
            await backend.agenerate(ask("Hello.", max_tokens=1))
    finally:
        release.set()
        await asyncio.gather(*waiting)


async def test_the_time_of_a_long_list_runs_from_its_start(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=1, max_waiting=1))
    with endless(backend) as hook:
        hook.before = slow(0.02)
        request = ask("Hello.", max_tokens=15, timeout=0.6)
        for ways in (backend.agenerate, lambda many: asyncio.to_thread(backend.generate, many)):
            started = time.monotonic()
            with pytest.raises(RequestTimeoutError):
                await ways([request] * 12)
            assert time.monotonic() - started < 2.5


# -- on a GPU


@pytest.mark.gpu
def test_a_gpu_answers_as_the_cpu_does(backend, ask):
    requests = [ask("Describe the picture.", 0, memvr=ALWAYS), ask("Hello.", 1, 2, memvr=ALWAYS)]
    with Backend.load("bundled", device="cuda", dtype="float32", progress=False) as there:
        pairs = list(zip(there.generate(requests), backend.generate(requests), strict=True))
    for far, near in pairs:
        assert [token.id for token in far.tokens] == [token.id for token in near.tokens]
        assert [t.trigger_layer for t in far.tokens] == [t.trigger_layer for t in near.tokens]


@pytest.mark.gpu
def test_half_precision_on_a_gpu_retraces(ask):
    with Backend.load("bundled", device="cuda", dtype="bfloat16", progress=False) as there:
        [done] = there.generate(ask("Describe the picture.", 0, memvr=ALWAYS))
    assert done.retraced == len(done.tokens)
    assert all(0 <= token.entropy <= 1 for token in done.tokens)


def test_a_fork_is_told_that_threads_stay_behind(backend, monkeypatch, ask):
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert backend.closed
    with pytest.raises(BackendClosedError, match="forked"):
        backend.generate(ask())
