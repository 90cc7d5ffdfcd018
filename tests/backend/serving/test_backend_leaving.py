"""Leaving the backend early: by closing a stream, by cancelling a task, by a time-out."""

import asyncio
import gc
import threading

import pytest
from waiting import eventually, held_at, idle, slow, together

from memvr_integrations.backend import QueueConfig
from memvr_integrations.errors import ImageError, RequestTimeoutError

# -- streams and tasks


def test_closing_a_stream_stops_the_computing(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        go_on = held_at(passes, 3)
        stream = backend.stream(ask("Describe.", 0, max_tokens=400))
        next(stream)
        stream.close()
        go_on.set()
        eventually(lambda: idle(backend))
        assert passes.forwards <= 4
    assert backend.generate(ask(max_tokens=2))[0].usage.completion_tokens <= 2


def test_breaking_out_of_a_for_loop_does_the_same(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        go_on = held_at(passes, 3)
        for _ in backend.stream(ask(max_tokens=400)):
            break
        gc.collect()
        go_on.set()
        eventually(lambda: idle(backend))
        assert passes.forwards <= 4


async def test_cancelling_a_task_stops_the_computing(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        go_on = held_at(passes, 3)
        tasks = [asyncio.create_task(backend.agenerate([ask(max_tokens=900)])) for _ in range(2)]
        while passes.forwards < 3:
            await asyncio.sleep(0.01)
        tasks[0].cancel()
        tasks[1].cancel()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task
        go_on.set()
        while not idle(backend):
            await asyncio.sleep(0.01)
        assert passes.forwards <= 4
    assert (await backend.agenerate(ask(max_tokens=2)))[0].tokens


async def test_one_row_leaves_and_the_others_finish(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        leaving, staying = ask(max_tokens=300), ask("Where?", max_tokens=20)
        stream = backend.astream(leaving)
        go_on = held_at(passes, 6)
        with together(backend, rows=2):
            first = asyncio.create_task(anext(stream))
            other = asyncio.create_task(backend.agenerate([staying]))
            await first
        while not passes.held:
            await asyncio.sleep(0.01)
        await stream.aclose()
        go_on.set()
        [done] = await other
        assert done.usage.completion_tokens == 20
    assert passes.rows == [1, 1, 1, *[2] * 4, *[1] * 15]
    assert backend.steps == 1 + 19


async def test_breaking_out_of_async_streams_leaves_nothing_running(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        for _ in range(3):
            go_on = held_at(passes, passes.forwards + 3)
            stream = backend.astream(ask(max_tokens=500))
            async for _chunk in stream:
                break
            await stream.aclose()
            go_on.set()
            while not idle(backend):
                await asyncio.sleep(0.01)
        assert passes.forwards <= 3 * 4
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


async def test_an_abandoned_picture_is_never_queued(make_backend, ask, monkeypatch):
    from memvr_integrations.backend.serving import intake

    backend, begun, go_on = make_backend(), threading.Event(), threading.Event()
    load = intake.read_image

    def waiting(*args):
        begun.set()
        assert go_on.wait(60)
        return load(*args)

    monkeypatch.setattr(intake, "read_image", waiting)
    task = asyncio.create_task(backend.agenerate([ask("What?", 0)]))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.sleep(0.2)
    eventually(lambda: idle(backend))
    assert backend.steps == 0


# -- time-outs


async def test_the_time_out_counts_the_decoding_of_pictures(make_backend, ask, monkeypatch):
    from memvr_integrations.backend.serving import intake

    go_on, done = threading.Event(), threading.Event()

    def load(*args):
        assert go_on.wait(60), "the caller waited for the picture"
        done.set()
        raise ImageError("too late")

    monkeypatch.setattr(intake, "read_image", load)
    with pytest.raises(RequestTimeoutError):
        await make_backend().agenerate([ask("What?", 0, timeout=0.05)])
    assert not done.is_set()
    go_on.set()


def test_a_time_out_ends_an_answer_in_the_middle(make_backend, ask, endless):
    backend = make_backend()
    with endless(backend) as passes:
        passes.before = slow(0.01)
        with pytest.raises(RequestTimeoutError, match=r"timeout=0\.3 s.*max_tokens"):
            backend.generate(ask(max_tokens=900, timeout=0.3))
        eventually(lambda: idle(backend))
        assert passes.forwards < 100


async def test_a_time_out_counts_the_queue(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=1))
    with endless(backend) as passes:
        go_on = held_at(passes, 3)
        first = backend.stream(ask(max_tokens=900))
        next(first)
        for way in (
            lambda r: asyncio.to_thread(backend.generate, [r]),
            lambda r: backend.agenerate([r]),
        ):
            with pytest.raises(RequestTimeoutError, match=r"timeout=0\.1 s"):
                await way(ask(timeout=0.1))
        first.close()
        go_on.set()
    assert (await backend.agenerate(ask(max_tokens=1, timeout=60)))[0].tokens
    assert passes.forwards <= 4 + 1  # who timed out was not read


async def test_the_time_of_a_long_list_runs_from_its_start(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=1, max_waiting=1))
    with endless(backend) as hook:
        hook.before = slow(0.02)
        request = ask("Hello.", max_tokens=15, timeout=0.6)
        for ways in (backend.agenerate, lambda many: asyncio.to_thread(backend.generate, many)):
            with pytest.raises(RequestTimeoutError):  # each one alone would be in time
                await ways([request] * 12)
