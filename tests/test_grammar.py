import json

import pytest

from memvr_integrations.backend.grammar import MOST_CALLS, grammar_of
from memvr_integrations.errors import RequestError
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


def schema_of(schema):
    found, _ = rules(response_format=schema)
    return {key: value for key, value in embedded(found["json"]).items() if key != "x-guidance"}


def test_a_plain_request_has_no_grammar():
    assert grammar_of(request()) is None
    assert grammar_of(request(tools=[PAINT], tool_choice="none")) is None


def test_auto_allows_text_and_calls():
    found, free_text = rules(tools=[PAINT, LOOK])
    assert free_text
    assert found["start"].endswith("(calls | TEXT)")
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


def test_listed_properties_are_all_there_are():
    assert schema_of(COLOR)["additionalProperties"] is False
    nested = {"type": "array", "items": COLOR}
    assert schema_of(nested)["items"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "schema",
    [
        COLOR | {"additionalProperties": {"type": "integer"}},
        {"allOf": [COLOR, {"type": "object", "properties": {"n": {"type": "integer"}}}]},
        {"type": "object"},
    ],
)
def test_open_objects_stay_open(schema):
    assert '"additionalProperties": false' not in json.dumps(schema_of(schema))


def test_the_callers_schema_is_left_as_it_was():
    before = json.dumps(COLOR)
    grammar_of(request(response_format=COLOR))
    assert json.dumps(COLOR) == before


def test_data_in_a_schema_is_no_schema():
    data = {"properties": {"a": 1}, "format": "odd"}
    schema = {"type": "object", "properties": {"x": {"const": data, "default": data}}}
    assert schema_of(schema)["properties"]["x"]["const"] == data


def test_unknown_formats_are_remarks():
    assert schema_of({"type": "string", "format": "password"}) == {"type": "string"}


def test_a_pattern_of_ones_own_goes_before_a_format():
    schema = {"type": "string", "format": "date", "pattern": "^2026"}
    assert schema_of(schema)["pattern"] == "^2026"


def test_numbers_stay_where_every_reader_is_exact():
    assert schema_of({"type": "integer"})["maximum"] == 2**53 - 1
    bounded = schema_of({"type": "number", "exclusiveMinimum": 3, "maximum": 5})
    assert "minimum" not in bounded
    assert bounded["maximum"] == 5


def test_different_values_of_a_short_enum_are_listed():
    values = {"type": "array", "uniqueItems": True, "items": {"enum": ["a", "b", 3]}}
    assert schema_of(values | {"minItems": 2}) == {
        "enum": [["a", "b"], ["a", 3], ["b", 3], ["a", "b", 3]]
    }
    assert len(schema_of(values)["enum"]) == 8
    assert "uniqueItems" not in schema_of({"type": "array", "uniqueItems": False})


def test_keys_that_must_match_are_properties():
    number = {"type": "object", "additionalProperties": {"type": "boolean"}}
    listed = schema_of(number | {"propertyNames": {"enum": ["a", "b"]}})
    assert listed["properties"] == {"a": {"type": "boolean"}, "b": {"type": "boolean"}}
    matched = schema_of(number | {"propertyNames": {"pattern": "^[a-z]+$"}})
    assert matched["patternProperties"] == {"^([a-z]+)$": {"type": "boolean"}}
    assert listed["additionalProperties"] is matched["additionalProperties"] is False


def test_keys_with_a_pattern_are_all_there_are():
    schema = {"type": "object", "patternProperties": {"^x": {"type": "integer"}}}
    assert schema_of(schema)["additionalProperties"] is False


def test_of_two_bounds_the_tighter_holds():
    assert schema_of({"type": "integer", "minimum": 5, "exclusiveMinimum": 5}) == {
        "type": "integer",
        "exclusiveMinimum": 5,
        "maximum": 2**53 - 1,
    }
    assert "exclusiveMaximum" not in schema_of(
        {"type": "number", "maximum": 3, "exclusiveMaximum": 5}
    )


def test_constants_are_always_written():
    schema = {"type": "object", "properties": {"kind": {"const": "cat"}, "age": {}}}
    assert schema_of(schema)["required"] == ["kind"]


def test_what_repeated_keys_could_break_is_refused():
    with pytest.raises(RequestError, match="minProperties=2 can't be enforced"):
        grammar_of(request(response_format={"type": "object", "minProperties": 2}))
