"""A request in OpenAI's form, and its answer in OpenAI's form."""

import base64
import io
import json

import PIL.Image
import pytest
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import RequestError
from memvr_integrations.types import Image, Text, ToolCall
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.wire.answers import answer_of, delta_of
from memvr_integrations.wire.messages import to_messages
from memvr_integrations.wire.requests import SAMPLING, to_request


@pytest.fixture(scope="module")
def url():
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (4, 3)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


CALL = {"id": "7", "type": "function", "function": {"name": "zoom", "arguments": '{"x": 1}'}}
TOOL = {
    "type": "function",
    "function": {
        "name": "zoom",
        "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
    },
}


def test_a_conversation_is_read(url):
    system, asked, called, result, last = to_messages(
        [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "name": "Ann",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "7", "content": "a cow"},
            {"role": "assistant", "content": ""},
        ]
    )
    assert (system.role, system.content) == ("system", (Text("Be brief."),))
    assert (asked.name, [type(part) for part in asked.content]) == ("Ann", [Text, Image])
    assert called.tool_calls == (ToolCall(id="7", name="zoom", arguments='{"x": 1}'),)
    assert (result.role, result.name, result.content) == ("tool", "zoom", (Text("a cow"),))
    assert last.content == ()


@pytest.mark.parametrize(
    ("form", "match"),
    [
        ("Hello", "messages holds 'Hello'"),
        ({"content": "Hello"}, "role=None has no place"),
        ({"role": "critic", "content": "Hello"}, "role='critic' has no place"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "'input_audio'"),
    ],
)
def test_a_message_that_is_none_is_refused(form, match):
    with pytest.raises(RequestError, match=match):
        to_messages([form])


def test_options_become_a_request():
    options = {
        "max_tokens": 7,
        "temperature": 0.5,
        "stop": "x",
        "n": 2,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "zoom"}},
        "parallel_tool_calls": False,
        "memvr": {"retracing_ratio": 0.5},
        "decoding": "vcd",
        "timeout": 9,
        "user": "somebody",
    }
    policy = ImagePolicy(max_bytes=9)
    request = to_request(to_messages([{"role": "user", "content": "Hi"}]), options, policy)
    assert (request.sampling.max_tokens, request.sampling.stop) == (7, ("x",))
    assert (request.tool_choice, request.parallel_tool_calls) == ("zoom", False)
    assert (request.timeout, request.image_policy, request.sampling.n) == (9, policy, 2)
    assert request.strategy.name == "vcd"
    assert "min_p" in SAMPLING


def test_an_answer_is_written(url):
    asked = to_messages([{"role": "user", "content": "Hi"}])
    [done] = ScriptedEngine().generate(to_request(asked, {}, None))
    answer = answer_of(done, logprobs=True)
    assert json.loads(json.dumps(answer)) == answer
    [choice] = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": done.text}
    assert choice["finish_reason"] == "stop"
    assert "".join(token["token"] for token in choice["logprobs"]["content"]) == done.text
    assert answer["usage"]["total_tokens"] == done.usage.total_tokens


def test_calls_are_written_whole_and_in_pieces():
    request = to_request(to_messages([{"role": "user", "content": "3"}]), {"tools": [TOOL]}, None)
    [done] = ScriptedEngine().generate(request)
    [choice] = answer_of(done, logprobs=False)["choices"]
    [call] = choice["message"]["tool_calls"]
    assert (call["id"], call["function"]["name"]) == ("call_1", "zoom")
    assert json.loads(call["function"]["arguments"]) == {"x": 3}
    deltas = [delta_of(chunk) for chunk in ScriptedEngine().stream(request)]
    pieces = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [piece["id"] for piece in pieces if "id" in piece] == ["call_1"]
    assert "".join(p["function"]["arguments"] for p in pieces) == call["function"]["arguments"]
