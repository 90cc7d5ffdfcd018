"""Many callers of one backend: a full queue, and how they do not disturb each other."""

import asyncio
import random
import threading

import pytest
from rows import ids
from waiting import eventually, held_at, idle

from memvr_integrations.backend import QueueConfig
from memvr_integrations.backend.serving import intake
from memvr_integrations.errors import QueueFullError


async def test_a_full_queue_says_so_and_those_who_left_keep_no_place(make_backend, ask, endless):
    backend = make_backend(queueing=QueueConfig(max_batch=1, max_waiting=2))
    with endless(backend) as passes:
        go_on = held_at(passes, 3)
        first = backend.astream(ask(max_tokens=900))
        await anext(first)
        waiting = [asyncio.create_task(backend.agenerate([ask()])) for _ in range(2)]
        while len(backend._worker._waiting) < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError, match="max_waiting=2"):
            await backend.agenerate([ask()])
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert len(backend._worker._waiting) == 2  # they have left, their rows have not
        last = asyncio.create_task(backend.agenerate([ask(max_tokens=1)]))
        await asyncio.sleep(0)
        await first.aclose()
        go_on.set()
        assert (await last)[0].tokens


def test_a_list_longer_than_the_queue_is_answered(make_backend, ask):
    backend = make_backend(queueing=QueueConfig(max_waiting=2))
    requests = [ask(f"{word}?", max_tokens=2) for word in ("one", "two", "three", "four", "five")]
    answers = backend.generate(requests)
    # Who shares a batch with whom depends on who comes first.
    assert ids(asyncio.run(backend.agenerate(requests))) == ids(answers)
    assert len(answers) == 5


async def test_many_streams_with_cancellations(make_backend, ask, endless):
    before = _threads("memvr-intake")
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
        for n in range(24)
    ]
    with endless(backend):
        expected = {n: backend.generate(requests[n])[0] for n in range(0, 24, 7)}
        leaving = {n for n in range(24) if n not in expected and rng.random() < 0.5}

        async def one(number):
            pieces = ""
            async for chunk in backend.astream(requests[number]):
                pieces += chunk.text
                if chunk.completion:
                    assert pieces == chunk.completion.text
                    return chunk.completion
                await asyncio.sleep(0)
            raise AssertionError("a stream without an end")

        tasks = [asyncio.create_task(one(number)) for number in range(24)]
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
    assert len(_threads("memvr-intake") - before) <= 16, "a thread for each stream"


def _threads(name):
    return {one for one in threading.enumerate() if one.name.startswith(name)}


async def test_text_does_not_wait_for_pictures_of_others(backend, ask, scenes, monkeypatch):
    """Not even when many pictures take their time."""
    release = threading.Event()
    load = intake.read_image

    def slow_load(source, policy):
        release.wait(60)
        return load(source, policy)

    monkeypatch.setattr(intake, "read_image", slow_load)
    waiting = [
        asyncio.ensure_future(backend.agenerate(ask("Who?", 0, max_tokens=1))) for _ in range(20)
    ]
    await asyncio.sleep(0.05)
    try:
        async with asyncio.timeout(50):
            await backend.agenerate(ask("Hello.", max_tokens=1))
    finally:
        release.set()
        await asyncio.gather(*waiting)
