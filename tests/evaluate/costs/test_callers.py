import asyncio

import pytest
from tiny_subject import tiny_subject

from memvr_integrations.backend import Backend
from memvr_integrations.evaluate.costs import callers
from memvr_integrations.types import Chunk, TokenRecord

TOKEN = TokenRecord(id=1, text="a", logprob=-1.0, entropy=None, trigger_layer=None)


class Counting:
    """Answers everybody after a while, and counts who waits together."""

    busy = False

    def __init__(self):
        self.waiting = self.most = self.asked = 0

    async def astream(self, request):
        self.asked += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0.03)
        yield Chunk(text="a", tokens=(TOKEN,))
        await asyncio.sleep(0.03)
        self.waiting -= 1


@pytest.mark.parametrize(("most", "together"), [(1, {1}), (3, {2, 3})])
def test_no_more_callers_ask_at_once_than_there_are(most, together):
    counting = Counting()
    table = callers.by_chance(counting, tiny_subject(), 1, 10, most=[most])
    assert counting.asked == 10
    assert counting.most in together
    [(name, cells)] = table.rows.items()
    assert name == f"at most {most} at once"
    assert len(cells) == len(table.columns) == 10
    found = {column: cell.median for column, cell in zip(table.columns, cells, strict=True)}
    assert 0.03 <= found["first token, 50%, s"] <= found["first token, 99%, s"]
    assert found["all answers, 50%, s"] >= 0.06


def test_callers_at_once_are_compared_with_the_same_in_turn():
    subject = tiny_subject()
    with Backend(subject.loaded) as backend:
        before = backend.steps
        ratio = callers.at_once(backend, subject, 2, [3, 2, 5])
        assert len(ratio.values) == 2
        assert all(value > 0 for value in ratio.values)
        assert backend.steps > before
        beside = callers.beside(backend, subject, 1, long=40)
        assert beside.median > 0
        assert not backend.busy


def test_percentiles_are_values_that_came():
    assert callers.percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert callers.percentile([3.0, 1.0, 2.0, 4.0], 0.9) == 4.0
    assert callers.percentile([7.0], 0.99) == 7.0
