import json

import pytest

from memvr_integrations.backend.structured.tool_calls import CallReader, written
from memvr_integrations.types.tools import ToolCall

TRICKY = json.dumps({"text": 'a "}</tool_call>" \\ {', "deep": {"x": [{}, "}"]}})
CALLS = (
    ToolCall(id="1", name="look", arguments="{}"),
    ToolCall(id="2", name='odd "name"', arguments=TRICKY),
)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_calls_are_read_back_from_pieces_of_any_size(size):
    text, reader, deltas = written(CALLS), CallReader(), []
    for at in range(0, len(text), size):
        deltas += reader.read(text[at : at + size])
    assert [(call.name, call.arguments) for call in reader.calls] == [
        (call.name, call.arguments) for call in CALLS
    ]
    for index, call in enumerate(reader.calls):
        mine = [delta for delta in deltas if delta.index == index]
        assert (mine[0].id, mine[0].name) == (call.id, call.name)
        assert all(delta.id is delta.name is None for delta in mine[1:])
        assert "".join(delta.arguments for delta in mine) == call.arguments


def test_every_call_has_its_own_id():
    reader = CallReader()
    reader.read(written(CALLS))
    assert len({call.id for call in reader.calls}) == 2


def test_half_a_call_is_no_call():
    reader = CallReader()
    deltas = reader.read(written(CALLS[:1])[:-14])
    assert reader.calls == ()
    assert deltas[0].name == "look"
