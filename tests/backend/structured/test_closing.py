"""Objects get the keys that are listed somewhere in their schema, and no others."""

import json

import pytest

from memvr_integrations.backend.structured import closing
from memvr_integrations.backend.structured.closing import MOST_FORMS, closed, followed
from memvr_integrations.errors import RequestError

WHOLE = {"type": "integer"}
BASE = {"type": "object", "properties": {"id": WHOLE}, "required": ["id"]}
TAIL = {"type": "object", "properties": {"tail": WHOLE}}
BASE_REF = {"$ref": "#/$defs/Base"}


def pet(*parts, **more):
    return {"$defs": {"Base": BASE, "Tail": TAIL}, "allOf": list(parts), **more}


def keys(schema):
    """The keys that an object of a closed schema may have."""
    assert schema["additionalProperties"] is False
    return set(schema["properties"])


@pytest.mark.parametrize(
    "schema",
    [
        pet(BASE_REF, TAIL),
        pet(BASE_REF, {"$ref": "#/$defs/Tail"}),
        pet(BASE_REF, properties={"tail": WHOLE}),
        pet(BASE_REF, {"required": ["tail"]}),
        pet({"allOf": [BASE_REF, {"allOf": [TAIL]}]}, {"required": ["id"]}),
        pet(BASE_REF, {"properties": {"tail": WHOLE}, "required": ["id", "tail"]}),
        {"$defs": {"Base": BASE}, **BASE_REF, "properties": {"tail": WHOLE}},
        {"$defs": {"Base": BASE}, **BASE_REF, **TAIL, "unevaluatedProperties": False},
        {"definitions": {"a/b": BASE}, "allOf": [{"$ref": "#/definitions/a~1b"}, TAIL]},
        {"$defs": {"B": BASE | {"$anchor": "base"}}, "allOf": [{"$ref": "#base"}, TAIL]},
    ],
)
def test_parts_are_one_object(schema):
    found = closed(schema)
    assert keys(found) == {"id", "tail"}
    assert "id" in found["required"]
    assert "allOf" not in found
    assert "$ref" not in found


@pytest.mark.parametrize("choice", ["anyOf", "oneOf"])
def test_each_branch_has_its_own_keys_and_the_common_ones(choice):
    branches = [{"properties": {"a": WHOLE}}, {"properties": {"b": WHOLE}}]
    for schema in (BASE | {choice: branches}, pet(BASE_REF, {choice: branches})):
        assert [keys(one) for one in closed(schema)[choice]] == [{"id", "a"}, {"id", "b"}]


def test_choices_beside_each_other_are_combined():
    two = {"allOf": [{"anyOf": [TAIL, BASE]}, {"anyOf": [{"required": ["x"]}, {"required": []}]}]}
    found = [[keys(inner) for inner in one["anyOf"]] for one in closed(two)["anyOf"]]
    assert found == [[{"tail", "x"}, {"tail"}], [{"id", "x"}, {"id"}]]
    many = [{"anyOf": [{"required": [str(number)]} for number in range(7)]}] * 3
    with pytest.raises(RequestError, match=f"more than {MOST_FORMS} objects"):
        closed({"allOf": [BASE, *many]})


def test_a_property_of_several_parts_is_all_of_them():
    owner = {"properties": {"owner": {"properties": {"name": WHOLE}}}}
    more = {"properties": {"owner": {"properties": {"age": WHOLE}, "required": ["age"]}}}
    found = closed({"allOf": [owner, more, {"properties": {"owner": {}}}]})
    assert keys(found["properties"]["owner"]) == {"name", "age"}


@pytest.mark.parametrize(
    ("given", "others"),
    [
        ({"additionalProperties": WHOLE}, WHOLE),
        ({"additionalProperties": False}, False),
        ({"unevaluatedProperties": WHOLE}, WHOLE),
    ],
)
def test_what_a_schema_says_of_others_counts(given, others):
    assert closed({"allOf": [BASE, TAIL | given]})["additionalProperties"] == others
    assert closed({"allOf": [BASE, TAIL], **given})["additionalProperties"] == others
    assert closed(BASE | given)["additionalProperties"] == others


def test_others_of_one_part_are_the_keys_of_another():
    strict = {"properties": {"a": WHOLE}, "additionalProperties": {"minimum": 3}}
    found = closed({"allOf": [strict, {"properties": {"b": {"maximum": 5}}}]})
    assert found["properties"]["b"] == {"allOf": [{"minimum": 3}, {"maximum": 5}]}
    named = {"patternProperties": {"^b": WHOLE}, "additionalProperties": False}
    found = closed({"allOf": [named, {"properties": {"b": {"maximum": 5}, "c": WHOLE}}]})
    assert found["properties"] == {"b": {"maximum": 5}, "c": False}


def test_parts_that_say_nothing_of_keys_stay_parts():
    short = [{"type": "string", "maxLength": 3}, {"minLength": 1}]
    assert closed({"allOf": short}) == {"allOf": short}
    found = closed({"allOf": [BASE, TAIL, {"minProperties": 2}]})
    assert keys(found) == {"id", "tail"}
    assert found["allOf"] == [{"minProperties": 2}]


def test_an_object_of_parts_may_contain_itself():
    node = {"properties": {"next": {"$ref": "#/$defs/Node", "properties": {"n": WHOLE}}}}
    found = closed({"$defs": {"Node": node}, "$ref": "#/$defs/Node"})
    inner = found["$defs"]["Node"]["properties"]["next"]
    [name] = found["$defs"].keys() - {"Node"}
    assert inner == {"$ref": f"#/$defs/{name}"}
    assert found["$defs"][name]["properties"]["next"] == inner
    assert keys(found["$defs"][name]) == {"next", "n"}


def test_objects_that_contain_themselves_are_not_confused():
    def holder(key):
        own = {"properties": {"kid": {"$ref": f"#/$defs/{key}", "properties": {"n": WHOLE}}}}
        return {"allOf": [{"properties": {key: WHOLE}}, own]}

    schema = {"$defs": {"a": holder("a"), "b": holder("b"), "parts-1-of-JSON": BASE}}
    found = closed(schema)["$defs"]
    assert found["parts-1-of-JSON"] == BASE | {"additionalProperties": False}
    for key in ("a", "b"):
        kid = found[key]["properties"]["kid"]["$ref"].removeprefix("#/$defs/")
        assert keys(found[kid]) == {key, "kid", "n"}


def either(ref):
    return {"anyOf": [ref, ref]}


def both(ref):
    return {"allOf": [ref, ref]}


def two_keys(ref):
    more = {"allOf": [ref, TAIL]}
    return {"properties": {"a": more, "b": more}}


@pytest.mark.parametrize("level", [either, both, two_keys])
@pytest.mark.parametrize("last", [WHOLE, BASE], ids=["number", "object"])
def test_what_comes_twice_in_each_level_is_not_written_out_each_time(level, last, monkeypatch):
    def counted(*given):
        nonlocal asked
        asked += 1
        assert asked < 10_000
        return followed(*given)

    asked = 0
    monkeypatch.setattr(closing, "followed", counted)
    depth = 20
    levels = {f"d{n}": level({"$ref": f"#/$defs/d{n + 1}"}) for n in range(depth)}
    found = closed({"$defs": levels | {f"d{depth}": last}, "$ref": "#/$defs/d0"})
    assert len(json.dumps(found)) < 100_000


def test_a_ring_of_parts_is_left_as_it_is():
    ring = {"allOf": [{"$ref": "#"}, TAIL]}
    assert closed(ring) == ring


def test_a_required_key_is_a_listed_one():
    assert keys(closed(BASE | {"required": ["id", "x"]})) == {"id", "x"}
    strict = BASE | {"required": ["x"], "additionalProperties": False}
    assert keys(closed(strict)) == {"id"}


@pytest.mark.parametrize("ref", ["#/$defs/c%25d", "#/$defs/a~1b/x/1", "https://x.org/s#/$defs/c%d"])
def test_references_are_followed(ref):
    here = {"const": 1}
    root = {"$id": "https://x.org/s", "$defs": {"c%d": here, "a/b": {"x": [0, here]}}}
    assert followed({"$ref": ref}, root) == here
    assert followed({"$ref": "#/$defs/none/x/7"}, json.loads(json.dumps(root))) is None
