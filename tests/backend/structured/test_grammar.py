import json

import pytest

from memvr_integrations.backend.structured.grammar import MOST_CALLS, grammar_of
from memvr_integrations.types import Message, Request, Tool

COLOR = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
PAINT = Tool(name="paint", parameters=COLOR)
LOOK = Tool(name="look")


def request(**options):
    return Request(messages=[Message("user", "Hello")], **options)


def rules(**options):
    grammar = grammar_of(request(**options))
    return dict(line.split(": ", 1) for line in grammar.lark.splitlines()), grammar.free_text


def embedded(rule):
    return json.loads(rule.removeprefix("%json "))


def test_a_plain_request_has_no_grammar():
    assert grammar_of(request()) is None
    assert grammar_of(request(tools=[PAINT], tool_choice="none")) is None


def test_auto_allows_text_and_calls():
    found, free_text = rules(tools=[PAINT, LOOK])
    assert free_text
    assert found["start"].endswith("(calls | TEXT)?")
    assert found["call"] == "call_0 | call_1"
    assert embedded(found["arguments_0"])["properties"] == COLOR["properties"]


@pytest.mark.parametrize("choice", ["required", "paint"])
def test_a_forced_call_allows_no_text(choice):
    found, free_text = rules(tools=[PAINT, LOOK], tool_choice=choice)
    assert not free_text
    assert found["start"].endswith("(calls)")


def test_a_named_tool_is_called_once_and_others_may_be_called_together():
    named, _ = rules(tools=[PAINT, LOOK], tool_choice="look")
    assert named["calls"] == "call"
    assert "look" in named["call_0"]
    several, _ = rules(tools=[PAINT, LOOK])
    assert several["calls"] == f"call{{1,{MOST_CALLS}}}"
    alone, _ = rules(tools=[PAINT, LOOK], parallel_tool_calls=False)
    assert alone["calls"] == "call"


def test_tools_and_a_format_together_leave_calls_or_json():
    found, free_text = rules(tools=[PAINT], response_format=COLOR)
    assert not free_text
    assert found["start"].endswith("(calls | json)")


def test_what_the_schemas_leave_open_is_reported():
    sets = {"type": "object", "properties": {"tags": {"type": "array", "uniqueItems": True}}}
    mail = {"type": "string", "pattern": "@"}
    asked = request(tools=[Tool(name="tag", parameters=sets)], response_format=mail)
    grammar = grammar_of(asked)
    assert grammar.unique == {"tags"}
    assert grammar.spelled == ("@",)
