import pytest
from busy import Busy, at_once  # noqa: F401  # a fixture

from memvr_integrations import errors
from memvr_integrations.wire.retries import aretrying, retrying

pytestmark = pytest.mark.usefixtures("at_once")


def test_a_full_queue_is_tried_again():
    busy = Busy(9)
    for attempt in retrying(2, None):  # there is time, so more often than twice
        with attempt:
            assert busy() == 10


async def test_a_full_queue_is_tried_again_in_asyncio():
    busy = Busy(9)
    async for attempt in aretrying(2, None):
        with attempt:
            assert busy() == 10


@pytest.mark.parametrize(
    ("busy", "times", "calls"),
    [(Busy(9), 2, 3), (Busy(9), 0, 1), (Busy(9, errors.RequestError), 2, 1)],
    ids=["full", "once", "wrong"],
)
def test_in_the_end_the_error_is_told(busy, times, calls):
    def ask():
        for attempt in retrying(times, 1e-9):
            with attempt:
                busy()

    with pytest.raises(busy.error):
        ask()
    assert busy.calls == calls
