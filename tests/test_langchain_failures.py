import pytest
from langchain_core import exceptions

from memvr_integrations import errors
from memvr_integrations.langchain.failures import aretrying, retrying, told_to_langchain


@pytest.mark.parametrize(
    ("ours", "theirs", "again"),
    [
        (errors.RequestError, "ModelInvalidRequestError", False),
        (errors.ImageError, "ModelInvalidRequestError", False),
        (errors.ContextLengthError, "ContextOverflowError", False),
        (errors.RequestTimeoutError, "ModelTimeoutError", True),
        (errors.QueueFullError, "ModelRateLimitError", True),
        (errors.ModelNotFoundError, "ModelNotFoundError", False),
        (errors.GenerationError, "ModelError", False),
    ],
)
def test_an_error_is_caught_by_both_names(ours, theirs, again):
    with pytest.raises(ours, match="why") as caught, told_to_langchain():
        raise ours("why")
    assert isinstance(caught.value, getattr(exceptions, theirs))
    assert caught.value.is_retryable is again
    assert type(caught.value).__name__ == ours.__name__


def test_the_cause_is_kept():
    cause = KeyError("x")
    with pytest.raises(errors.GenerationError) as caught, told_to_langchain():
        raise errors.GenerationError("why") from cause
    assert caught.value.__cause__ is cause


def test_an_error_told_twice_is_the_same():
    with pytest.raises(errors.RequestError) as caught, told_to_langchain(), told_to_langchain():
        raise errors.RequestError("why")
    assert type(caught.value).__bases__ == (
        errors.RequestError,
        exceptions.ModelInvalidRequestError,
    )


def test_other_errors_are_left_alone():
    with pytest.raises(ZeroDivisionError), told_to_langchain():
        _ = 1 / 0


class Busy:
    def __init__(self, times, error=errors.QueueFullError):
        self.times, self.error, self.calls = times, error, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error("busy")
        return self.calls


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)

    async def at_once(seconds):
        return None

    monkeypatch.setattr("asyncio.sleep", at_once)


def test_a_full_queue_is_tried_again():
    busy = Busy(2)
    for attempt in retrying(2):
        with attempt:
            assert busy() == 3


async def test_a_full_queue_is_tried_again_in_asyncio():
    busy = Busy(2)
    async for attempt in aretrying(2):
        with attempt:
            assert busy() == 3


@pytest.mark.parametrize(
    ("busy", "calls"), [(Busy(9), 3), (Busy(9, errors.RequestError), 1)], ids=["full", "wrong"]
)
def test_in_the_end_the_error_is_told(busy, calls):
    def ask():
        for attempt in retrying(2):
            with attempt:
                busy()

    with pytest.raises(busy.error):
        ask()
    assert busy.calls == calls
