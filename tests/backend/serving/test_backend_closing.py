"""The end of a backend: closed, forgotten, or left over by a fork."""

import asyncio
import gc
import threading
import weakref

import pytest
from bundled_settings import ALWAYS
from waiting import eventually, slow

from memvr_integrations.backend import Backend, QueueConfig
from memvr_integrations.errors import BackendClosedError


def test_closing_while_running_ends_those_who_wait(make_backend, ask, endless):
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
        backend.close()
        for thread in threads:
            thread.join(60)
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
    from memvr_integrations.backend.serving import intake

    backend, begun, go_on = make_backend(), threading.Event(), threading.Event()
    load = intake.read_image

    def waiting(*args):
        begun.set()
        assert go_on.wait(60)
        return load(*args)

    monkeypatch.setattr(intake, "read_image", waiting)
    tasks = [asyncio.create_task(backend.agenerate([ask("What?", 0)])) for _ in range(5)]
    await asyncio.to_thread(begun.wait, 60)
    closing = asyncio.create_task(asyncio.to_thread(backend.close))
    while not backend._worker.closed:
        await asyncio.sleep(0.01)
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
    thread.join(60)
    assert not thread.is_alive()


def test_closing_lets_the_model_go(ask):
    backend = Backend.load("bundled", device="cpu", progress=False)
    backend.generate(ask("What?", 0, max_tokens=2, memvr=ALWAYS))
    model = weakref.ref(backend._host.model)
    backend.close()
    gc.collect()
    assert model() is None


def test_a_fork_learns_that_threads_stay_with_the_parent(backend, monkeypatch, ask):
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert backend.closed
    with pytest.raises(BackendClosedError, match="forked"):
        backend.generate(ask())
