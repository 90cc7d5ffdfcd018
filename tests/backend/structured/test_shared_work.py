import itertools
import threading
import time

import pytest
from waiting import eventually

from memvr_integrations.backend.structured.shared_work import Left, SharedWork
from memvr_integrations.errors import RequestError


def always():
    return True


def test_callers_share_one_making_and_its_thing_is_kept():
    made = []

    def make(key, wanted):
        made.append(key)
        time.sleep(0.1)
        return key.upper()

    shared = SharedWork(make, 2)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(shared.get("a", always))) for _ in "123"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["A"] * 3
    assert made == ["a"]
    for key in "abcb":
        assert shared.get(key, always) == key.upper()
    assert made == ["a", "b", "c"]  # the last two are kept
    assert shared.get("a", always) == "A"
    assert made == ["a", "b", "c", "a"]


def test_a_refusal_is_kept_and_raised_anew():
    tries = []

    def make(key, wanted):
        tries.append(key)
        raise RequestError("no")

    shared = SharedWork(make, 2)
    errors = []
    for _ in range(3):
        with pytest.raises(RequestError, match="no") as caught:
            shared.get("a", always)
        errors.append(caught.value)
    assert tries == ["a"]
    assert len(set(map(id, errors))) == 3


def test_making_stops_when_all_have_left_and_begins_again_for_the_next():
    begun, stopped = threading.Event(), []

    def make(key, wanted):
        if stopped:
            return key
        begun.set()
        while wanted():
            time.sleep(0.001)
        stopped.append(key)
        raise Left

    shared = SharedWork(make, 2)
    with pytest.raises(Left):
        shared.get("a", lambda: not begun.is_set())
    eventually(lambda: stopped == ["a"])
    assert shared.get("a", always) == "a"


def test_one_who_stays_keeps_it_going():
    begun, go_on = threading.Event(), threading.Event()

    def make(key, wanted):
        begun.set()
        while not go_on.is_set():
            if not wanted():
                raise Left
            time.sleep(0.001)
        return key

    shared, found, asked = SharedWork(make, 2), [], itertools.count()
    stays = threading.Thread(target=lambda: found.append(shared.get("a", always)))
    stays.start()
    assert begun.wait(60)
    with pytest.raises(Left):
        shared.get("a", lambda: next(asked) < 3)
    go_on.set()
    stays.join()
    assert found == ["a"]


def test_whatever_goes_wrong_reaches_who_waits():
    class PanicError(BaseException):
        """As Rust's panics are."""

    def make(key, wanted):
        raise PanicError("overflow")

    with pytest.raises(PanicError, match="overflow"):
        SharedWork(make, 2).get("a", always)
