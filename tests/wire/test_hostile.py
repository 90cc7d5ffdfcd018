"""Bodies that no client should send: each is refused in our own words, and none raises another's.

What JSON can hold stands where something else belongs; a server passes such bodies on as they come.
"""

import pytest

from memvr_integrations.errors import ConfigError, ImageError, RequestError
from memvr_integrations.wire.messages import to_messages
from memvr_integrations.wire.requests import to_request

OURS = (RequestError, ImageError, ConfigError)
ODD = (5, -0.5, True, "text", "", [], [1], [None], [[]], {}, {"a": 1}, {"type": []}, {"type": {}})
ZOOM = {"type": "function", "function": {"name": "zoom"}}


def body(**options):
    return {"messages": [{"role": "user", "content": "Hi"}], **options}


def said(**message):
    return {"messages": [{"role": "user", "content": "Hi"} | message]}


def called(**call):
    return said(role="assistant", tool_calls=[{"id": "1", "function": {"name": "zoom"}} | call])


def nested(depth):
    block = {"type": "text", "text": "Hi"}
    for _ in range(depth):
        block = {"type": "tool_result", "content": [block]}
    return block


def read(form):
    options = {name: value for name, value in form.items() if name != "messages"}
    return to_request(to_messages(form["messages"]), options, None)


REFUSED = {
    "messages text": {"messages": "Hi"},
    "messages dict": {"messages": {"role": "user", "content": "Hi"}},
    "messages number": {"messages": 5},
    "messages none": {"messages": None},
    "messages empty": {"messages": []},
    "message text": {"messages": ["Hi"]},
    "message list": {"messages": [[]]},
    "no role": {"messages": [{"content": "Hi"}]},
    "role number": said(role=5),
    "role list": said(role=["user"]),
    "role none": said(role=None),
    "role unknown": said(role="critic"),
    "name number": said(name=5),
    "content number": said(content=5),
    "content zero": said(content=0),
    "content false": said(content=False),
    "content numbers": said(content=[1]),
    "content none inside": said(content=[None]),
    "content dict": said(content={"a": 1}),
    "content empty dict": said(content={}),
    "block type list": said(content=[{"type": ["text"]}]),
    "text number": said(content=[{"type": "text", "text": 5}]),
    "text dict": said(content=[{"type": "text", "text": {"value": "Hi"}}]),
    "no picture": said(content=[{"type": "image_url"}]),
    "picture number": said(content=[{"type": "image_url", "image_url": 5}]),
    "picture list": said(content=[{"type": "image_url", "image_url": ["x"]}]),
    "picture url number": said(content=[{"type": "image_url", "image_url": {"url": 5}}]),
    "nested": said(content=[nested(5000)]),
    "calls text": said(role="assistant", tool_calls="zoom"),
    "calls dict": said(role="assistant", tool_calls={"id": "1"}),
    "calls number": said(role="assistant", tool_calls=5),
    "call text": said(role="assistant", tool_calls=["zoom"]),
    "call without function": said(role="assistant", tool_calls=[{"id": "1"}]),
    "function text": called(function="zoom"),
    "function without name": called(function={"arguments": "{}"}),
    "function name none": called(function={"name": None}),
    "function name empty": called(function={"name": ""}),
    "function name number": called(function={"name": 5}),
    "arguments number": called(function={"name": "zoom", "arguments": 5}),
    "arguments list": called(function={"name": "zoom", "arguments": [1]}),
    "call of a user": said(tool_calls=[ZOOM]),
    "tools text": body(tools="zoom"),
    "tools number": body(tools=5),
    "tools zero": body(tools=0),
    "tools dict": body(tools=ZOOM),
    "tool number": body(tools=[5]),
    "tool without name": body(tools=[{"type": "function", "function": {}}]),
    "tool name none": body(tools=[{"function": {"name": None}}]),
    "tool name number": body(tools=[{"function": {"name": 5}}]),
    "tool description": body(tools=[{"name": "zoom", "description": 5}]),
    "tool parameters": body(tools=[{"name": "zoom", "parameters": 5}]),
    "tool parameters false": body(tools=[{"name": "zoom", "parameters": False}]),
    "tool parameters list": body(tools=[{"name": "zoom", "parameters": ["x"]}]),
    "choice number": body(tools=[ZOOM], tool_choice=5),
    "choice list": body(tools=[ZOOM], tool_choice=["zoom"]),
    "choice empty": body(tools=[ZOOM], tool_choice={}),
    "choice nameless": body(tools=[ZOOM], tool_choice={"type": "function"}),
    "choice function text": body(tools=[ZOOM], tool_choice={"function": "zoom"}),
    "choice name number": body(tools=[ZOOM], tool_choice={"name": 5}),
    "choice other": body(tools=[ZOOM], tool_choice="look"),
    "choice without tools": body(tool_choice="required"),
    "format text": body(response_format="json"),
    "format number": body(response_format=5),
    "format list": body(response_format=[1]),
    "format without schema": body(response_format={"type": "json_schema"}),
    "format schema number": body(
        response_format={"type": "json_schema", "json_schema": {"schema": 5}}
    ),
    "format wrapping number": body(response_format={"type": "json_schema", "json_schema": 5}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_body_is_refused_in_our_words(case):
    with pytest.raises(OURS) as refused:
        read(REFUSED[case])
    assert str(refused.value).endswith((".", "?"))


def bodies_with(value):
    """Bodies that hold a value, each in another place; with the name of the place."""
    yield "messages", {"messages": value}
    yield "message", {"messages": [value]}
    for key in ("role", "name", "content", "tool_calls", "tool_call_id"):
        yield key, said(**{key: value})
    yield "block", said(content=[value])
    for kind in ("text", "text-plain", "refusal", "image_url", "image", "file", "tool_result"):
        for key in ("text", "refusal", "image_url", "url", "base64", "mime_type", "source"):
            yield f"{kind}.{key}", said(content=[{"type": kind, key: value}])
    for kind, key in [("tool_result", "content"), ("server_tool_result", "output")]:
        yield kind, said(content=[{"type": kind, key: value}])
    yield "non_standard", said(content=[{"type": "non_standard", "value": value}])
    yield "call", said(role="assistant", tool_calls=[value])
    for key in ("id", "function"):
        yield f"call.{key}", called(**{key: value})
    for key in ("name", "arguments"):
        yield f"function.{key}", called(function={"name": "zoom", key: value})
    for key in ("name", "description", "parameters"):
        yield f"tool.{key}", body(tools=[{"function": {"name": "zoom", key: value}}])
    for key in ("tool_choice", "response_format", "parallel_tool_calls", "stop", "decoding"):
        yield key, body(tools=[ZOOM], **{key: value})
    for key in ("tools", "max_tokens", "temperature", "top_p", "seed", "n", "memvr", "timeout"):
        yield key, body(**{key: value})


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_whatever_stands_anywhere_raises_nothing_of_others(value):
    for place, form in bodies_with(value):
        try:
            read(form)
        except OURS:
            continue
        except Exception as error:
            pytest.fail(f"{place}={value!r} raised {error!r}")


def test_arguments_stay_as_a_model_wrote_them():
    """Also where they are no JSON: a model reads its own mistake again."""
    [message] = to_messages(called(function={"name": "zoom", "arguments": "{x"})["messages"])
    assert message.tool_calls[0].arguments == "{x"
