import asyncio

import pytest

from memvr_integrations.wire.blocking import wait_for


async def soon(value):
    await asyncio.sleep(0)
    return value


def test_without_a_loop():
    assert wait_for(soon(3)) == 3


async def test_inside_a_running_loop():
    assert wait_for(soon(3)) == 3


async def test_errors_come_out():
    async def wrong():
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        wait_for(wrong())
