import copy
import gc
import logging
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.serving.registry import Leases, Registry
from memvr_integrations.errors import BackendClosedError, ModelLoadError

CPU = LoadConfig(device="cpu")


class Fake:
    def __init__(self, name):
        self.name, self.closed = name, False

    def close(self):
        self.closed = True


@pytest.fixture
def loaded():
    return []


@pytest.fixture
def registry(loaded):
    def load(name, config):
        loaded.append(Fake(name))
        return loaded[-1]

    return Registry(load, linger=0.2)


def wait_until(true):
    end = time.monotonic() + 10
    while not true():  # another thread does it
        assert time.monotonic() < end
        time.sleep(0.01)


def drop(leases):
    """What the garbage collector does."""
    leases._finalizer()


def test_one_model_is_loaded_once_for_all(registry, loaded):
    first, second = Leases(registry), Leases(registry)
    assert first.get("a", CPU) is second.get("a", CPU) is first.get("a", CPU)
    assert len(loaded) == 1
    assert registry.users("a") == 2


def test_other_options_are_another_model(registry, loaded):
    leases = Leases(registry)
    leases.get("a", CPU)
    leases.get("a", LoadConfig(device="cpu", dtype="float16"))
    leases.get("b", CPU)
    assert len(loaded) == 3


def test_the_last_one_closes(registry, loaded):
    first, second = Leases(registry), Leases(registry)
    first.get("a", CPU)
    second.get("a", CPU)
    first.release()
    assert not loaded[0].closed
    second.release()
    second.release()
    assert loaded[0].closed
    assert not first.holds("a", CPU)
    assert not first.get("a", CPU).closed
    assert len(loaded) == 2


def test_what_is_dropped_gives_back(registry, loaded):
    leases = Leases(registry)
    leases.get("a", CPU)
    del leases
    gc.collect()
    assert not loaded[0].closed
    wait_until(lambda: loaded[0].closed)


def test_what_was_dropped_is_taken_up_again(registry, loaded):
    for _ in range(5):
        leases = Leases(registry)
        leases.get("a", CPU)
        drop(leases)
    assert len(loaded) == 1
    assert registry.users("a") == 0
    wait_until(lambda: loaded[0].closed)
    assert not Leases(registry).get("a", CPU).closed


def test_loading_another_model_ends_the_lingering(loaded):
    def load(name, config):
        assert all(fake.closed for fake in loaded)  # its memory is needed
        loaded.append(Fake(name))
        return loaded[-1]

    registry = Registry(load, linger=1000)
    first, second = Leases(registry), Leases(registry)
    first.get("a", CPU)
    drop(first)
    second.get("b", CPU)
    assert [fake.closed for fake in loaded] == [True, False]


def test_giving_back_frees_at_once(loaded, caplog):
    caplog.set_level(logging.INFO, logger="memvr_integrations")
    registry = Registry(lambda name, config: loaded.append(Fake(name)) or loaded[-1], linger=1000)
    first, second = Leases(registry), Leases(registry)
    first.get("shared", CPU)
    second.get("shared", CPU)
    drop(first)
    second.release()
    assert loaded[0].closed
    # Registries of other tests may close what they hold meanwhile.
    said = [message for message in caplog.messages if message.startswith("shared")]
    assert said == ["shared is closed: nobody uses it any more"]


def test_a_forked_process_learns_that_torch_does_not_come_along(registry, loaded):
    registry.forget()  # nothing was loaded yet, so nothing is lost
    before = Leases(registry)
    before.get("a", CPU)
    registry.forget()
    drop(before)  # counts for the parent's registry, not for this one
    with pytest.raises(BackendClosedError, match="'spawn'"):
        Leases(registry).get("a", CPU)
    assert registry.users("a") == 0


@pytest.mark.parametrize("remake", [copy.copy, copy.deepcopy])
def test_copies_hold_nothing(registry, remake):
    leases = Leases(registry)
    leases.get("a", CPU)
    again = remake(leases)
    assert not again.holds("a", CPU)
    leases.release()
    assert registry.users("a") == 0


def test_a_pickle_holds_nothing():
    assert not pickle.loads(pickle.dumps(Leases())).holds("bundled", CPU)


def test_many_threads_load_once(registry, loaded):
    start = threading.Barrier(8)

    def use(_):
        leases = Leases(registry)
        start.wait()
        leases.get("a", CPU)
        return leases

    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(use, range(8)))
    assert len(loaded) == 1
    assert registry.users("a") == len(held)


def test_a_failure_is_raised_and_leaves_nothing(loaded):
    def load(name, config):
        raise ModelLoadError("broken")

    registry = Registry(load)
    with pytest.raises(ModelLoadError):
        Leases(registry).get("a", CPU)
    assert registry.users("a") == 0


def test_garbage_collected_in_the_middle_of_anything_locks_nothing_up(registry):
    """Finalizers may run in any thread, at any line: also inside the registry."""

    class Owner:
        pass

    def leave_garbage():
        owner = Owner()
        owner.itself, owner.leases = owner, Leases(registry)
        owner.leases.get("a", CPU)

    def churn():
        keep = Leases(registry)
        for round_ in range(300):
            leave_garbage()
            keep.get(f"b{round_ % 5}", CPU)
            if round_ % 20 == 0:
                keep.release()

    before = gc.get_threshold()
    gc.set_threshold(20)
    try:
        worker = threading.Thread(target=churn, daemon=True)
        worker.start()
        worker.join(20)
    finally:
        gc.set_threshold(*before)
    assert not worker.is_alive()


def test_a_backend_that_died_is_loaded_anew(registry, loaded):
    one = Leases(registry)
    one.get("a", CPU).close()
    assert not one.get("a", CPU).closed
    assert not Leases(registry).get("a", CPU).closed
    assert len(loaded) == 2
    one.release()
