"""JSON and tool calls through the whole backend, from a model that was trained for neither."""

import asyncio
import dataclasses
import json
import threading
import time

import jsonschema
import pytest
import torch
from waiting import eventually

from memvr_integrations.backend import Message, SamplingParams, Tool
from memvr_integrations.backend.structured import constraint, way_out
from memvr_integrations.errors import ContextLengthError, RequestError, RequestTimeoutError

SCHEMA = {
    "type": "object",
    "properties": {
        "things": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 3},
        "animals": {"type": "integer", "minimum": 0, "maximum": 9},
        "place": {"enum": ["kitchen", "farm", "Küche"]},
    },
    "required": ["things", "animals", "place"],
}
ZOOM = Tool(
    name="zoom",
    description="Shows a part of the picture, larger.",
    parameters={
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
        "required": ["x", "y"],
    },
)
LOOK = Tool(name="look")


@pytest.fixture
def asked(ask):
    def make(*numbers, **options):
        parts = ("tools", "tool_choice", "response_format", "parallel_tool_calls")
        own = {key: options.pop(key) for key in parts if key in options}
        options.setdefault("max_tokens", 120)
        question = ask("What is in the picture?", *numbers, **options)
        return dataclasses.replace(question, **own)

    return make


@pytest.mark.parametrize("seed", range(3))
def test_an_answer_fits_its_schema(backend, asked, seed):
    request = asked(0, response_format=SCHEMA, temperature=1.5, seed=seed)
    [done] = backend.generate(request)
    jsonschema.validate(json.loads(done.text), SCHEMA)
    assert done.finish_reason == "stop"
    assert done.tool_calls == ()


def test_a_required_call_is_made(backend, asked):
    [done] = backend.generate(asked(0, tools=[ZOOM, LOOK], tool_choice="required"))
    assert done.finish_reason == "tool_calls"
    assert done.text == ""
    assert done.tool_calls
    for call in done.tool_calls:
        jsonschema.validate(
            json.loads(call.arguments), {"zoom": ZOOM, "look": LOOK}[call.name].parameters
        )


def test_a_named_tool_is_called_once(backend, asked):
    [done] = backend.generate(asked(0, tools=[ZOOM, LOOK], tool_choice="zoom"))
    assert [call.name for call in done.tool_calls] == ["zoom"]


def test_a_call_is_streamed_as_it_is_written(backend, asked):
    chunks = list(backend.stream(asked(0, tools=[ZOOM], tool_choice="required")))
    deltas = [delta for chunk in chunks for delta in chunk.tool_calls]
    completion = chunks[-1].completion
    assert all(chunk.text == "" for chunk in chunks)
    assert len(deltas) > 3
    for index, call in enumerate(completion.tool_calls):
        mine = [delta for delta in deltas if delta.index == index]
        assert (mine[0].id, mine[0].name) == (call.id, call.name)
        assert "".join(delta.arguments for delta in mine) == call.arguments


def test_tokens_say_what_was_written(backend, asked):
    [done] = backend.generate(asked(0, tools=[LOOK], tool_choice="look"))
    written = "".join(token.text for token in done.tokens)
    assert written == '<tool_call>{"name": "look", "arguments": {}}</tool_call>'


def test_auto_may_answer_in_words(backend, asked, scripted, ids_of):
    with scripted(backend, ids_of(" No cow.")):
        [done] = backend.generate(asked(0, tools=[ZOOM]))
    assert done.text == "No cow."
    assert done.finish_reason == "stop"


def test_auto_may_call(backend, asked, scripted, ids_of):
    call = '<tool_call>{"name": "zoom", "arguments": {"x": 1, "y": 2}}</tool_call>'
    with scripted(backend, ids_of(call)):
        [done] = backend.generate(asked(0, tools=[ZOOM], stop=('"y"',)))
    assert json.loads(done.tool_calls[0].arguments) == {"x": 1, "y": 2}
    assert done.finish_reason == "tool_calls"


def test_stop_strings_end_words_but_no_json(backend, asked, scripted, ids_of):
    with scripted(backend, ids_of(" No cow here.")):
        [words] = backend.generate(asked(0, tools=[ZOOM], stop=("cow",)))
    assert words.text == "No "
    [json_] = backend.generate(asked(0, response_format=SCHEMA, stop=("things", "}")))
    jsonschema.validate(json.loads(json_.text), SCHEMA)


def test_a_row_is_the_same_alone_and_beside_others(backend, asked):
    requests = [
        asked(0, response_format=SCHEMA),
        asked(1),
        asked(tools=[ZOOM, LOOK], tool_choice="required"),
        asked(2, response_format=SCHEMA, temperature=1.0, seed=5),
    ]
    together = backend.generate(requests)
    for request, one in zip(requests, together, strict=True):
        [alone] = backend.generate(request)
        assert [token.id for token in alone.tokens] == [token.id for token in one.tokens]


def test_several_answers_are_each_valid(backend, asked):
    [done] = backend.generate(asked(0, response_format=SCHEMA, n=3, temperature=1.0, seed=1))
    texts = [done.text, *(other.text for other in done.alternatives)]
    assert len(texts) == 3
    for text in texts:
        jsonschema.validate(json.loads(text), SCHEMA)


def test_a_tight_limit_still_gives_valid_json(backend, asked):
    with pytest.raises(RequestError, match="but one of") as refused:
        backend.generate(asked(0, response_format=SCHEMA, max_tokens=5))
    least = int(str(refused.value).split("but one of ")[1].split()[0])
    request = asked(0, response_format=SCHEMA, max_tokens=least, temperature=2.0, seed=0)
    [done] = backend.generate(request)
    jsonschema.validate(json.loads(done.text), SCHEMA)


def test_a_batch_that_fails_is_computed_again_to_the_same_json(make_backend, asked, attached_once):
    backend = make_backend()
    requests = [asked(0, response_format=SCHEMA, seed=i, temperature=1.0) for i in range(2)]
    before = backend.generate(requests)
    with attached_once(backend, torch.OutOfMemoryError("no room"), step=9):
        after = backend.generate(requests)
    assert [one.text for one in after] == [one.text for one in before]


@pytest.fixture
def attached_once():
    from contextlib import contextmanager

    @contextmanager
    def attach(backend, error, step):
        count = 0

        def fail(module, args, out):
            nonlocal count
            count += 1
            if count == step:
                raise error

        handle = backend._host.model.register_forward_hook(fail)
        try:
            yield
        finally:
            handle.remove()

    return attach


def test_a_schema_that_cannot_be_held_is_refused_before_its_turn(backend, asked):
    with pytest.raises(RequestError, match="not"):
        backend.generate(asked(0, response_format={"not": {"type": "string"}}))


def test_a_result_with_a_picture_is_seen(backend, scenes):
    from memvr_integrations.backend import Image, Request, ToolCall

    call = ToolCall(id="1", name="zoom", arguments='{"x": 1, "y": 1}')
    request = Request(
        messages=[
            Message("user", "What is there?"),
            Message("assistant", "", tool_calls=[call]),
            Message("tool", [Image(scenes[0].pixels)], name="zoom"),
        ],
        tools=[ZOOM],
        sampling=SamplingParams(max_tokens=8),
    )
    [done] = backend.generate(request)
    assert done.usage.image_tokens == 64


ENDLESS = {
    "type": "object",
    "properties": {"kids": {"type": "array", "items": {"$ref": "#"}, "minItems": 1}},
    "required": ["kids"],
}


async def test_a_schema_that_takes_long_to_refuse_keeps_to_the_timeout(
    make_backend, asked, monkeypatch
):
    def endless_search(answer, *, wanted, **_):
        while wanted():
            time.sleep(0.001)

    monkeypatch.setattr(constraint, "shortest_end", endless_search)
    before, backend = _compiling(), make_backend()
    with pytest.raises(RequestTimeoutError):
        backend.generate(asked(response_format=ENDLESS, timeout=0.1))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(backend.agenerate(asked(response_format=ENDLESS)), 0.1)
    eventually(lambda: _compiling() <= before)


def _compiling():
    return {one for one in threading.enumerate() if one.name == "memvr-grammar"}


def test_a_refused_schema_is_refused_at_once_the_next_time(make_backend, asked, monkeypatch):
    monkeypatch.setattr(way_out, "_PLAN", ((32, 1),))  # less patience, no other outcome
    backend = make_backend()
    with pytest.raises(RequestError, match="contain themselves"):
        backend.generate(asked(response_format=ENDLESS))
    searched: list[object] = []
    monkeypatch.setattr(constraint, "shortest_end", lambda *given, **_: searched.append(given))
    with pytest.raises(RequestError, match="contain themselves"):
        backend.generate(asked(response_format=ENDLESS))
    assert not searched


def test_a_pattern_that_cannot_be_held_is_named(backend, asked):
    schema = {"type": "string", "pattern": "^(?=x)a$"}
    with pytest.raises(RequestError, match=r"\^\(\?=x\)a\$.*look-around"):
        backend.generate(asked(response_format=schema))


@pytest.fixture
def sought(backend, monkeypatch):
    """The names of the threads that wait for a short answer."""
    threads, shorter = [], backend._host.grammars._shorter
    get = shorter.get

    def noted(key, wanted):
        threads.append(threading.current_thread().name)
        return get(key, wanted)

    monkeypatch.setattr(shorter, "get", noted)
    return threads


def filling(backend, asked, room):
    """A request whose prompt leaves room for so many tokens."""
    request = asked(response_format=SCHEMA, max_tokens=500)

    def longer(words):
        messages = [Message("user", "cow" + " cow" * words), *request.messages]
        return dataclasses.replace(request, messages=messages)

    used = backend.count(longer(9)).prompt_tokens - 9
    assert backend.count(longer(10)).prompt_tokens == used + 10
    return longer(backend.context - room - used)


def test_the_inference_thread_seeks_no_short_answer(backend, asked, sought):
    with pytest.raises(RequestError, match=r"within the 4 tokens .* raise max_tokens"):
        backend.generate(asked(0, response_format=SCHEMA, max_tokens=4))
    with pytest.raises(RequestError, match=r"within the 5 tokens .* context") as refused:
        backend.generate(filling(backend, asked, 5))
    assert sought == [threading.current_thread().name] * 2
    least = int(str(refused.value).split("but one of ")[1].split()[0])
    [done] = backend.generate(filling(backend, asked, least))
    jsonschema.validate(json.loads(done.text), SCHEMA)
    assert done.usage.completion_tokens <= least


def test_a_prompt_that_is_too_long_for_a_schema_can_be_counted(backend, asked):
    request = filling(backend, asked, -9)
    assert backend.count(request).prompt_tokens == backend.context + 9
    with pytest.raises(ContextLengthError, match="send fewer images or a shorter"):
        backend.generate(request)
