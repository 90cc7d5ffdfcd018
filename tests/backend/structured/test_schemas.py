import json

import pytest

from memvr_integrations.backend.structured.schema_parts import (
    EVERYWHERE,
    has_free_keys,
    patterns,
    unique_keys,
)
from memvr_integrations.backend.structured.schemas import narrowed
from memvr_integrations.errors import RequestError

COLOR = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}


def test_listed_properties_are_all_there_are():
    assert narrowed(COLOR)["additionalProperties"] is False
    nested = {"type": "array", "items": COLOR}
    assert narrowed(nested)["items"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "schema",
    [
        COLOR | {"additionalProperties": {"type": "integer"}},
        {"allOf": [COLOR, {"properties": {"n": {}}, "additionalProperties": True}]},
        {"allOf": [COLOR, {"$ref": "https://example.org/other.json"}]},
        {"type": "object"},
    ],
)
def test_open_objects_stay_open(schema):
    assert '"additionalProperties": false' not in json.dumps(narrowed(schema))


def test_the_callers_schema_is_left_as_it_was():
    before = json.dumps(COLOR)
    narrowed(COLOR)
    assert json.dumps(COLOR) == before


def test_data_in_a_schema_is_no_schema():
    data = {"properties": {"a": 1}, "format": "odd"}
    schema = {"type": "object", "properties": {"x": {"const": data, "default": data}}}
    assert narrowed(schema)["properties"]["x"]["const"] == data


def test_unknown_formats_are_remarks():
    assert narrowed({"type": "string", "format": "password"}) == {"type": "string"}


def test_a_format_and_a_pattern_of_ones_own_both_hold():
    found = narrowed({"type": "string", "format": "date", "pattern": "^2026", "allOf": [{}]})
    assert found["pattern"] == "^2026"
    [_, both] = found["allOf"]
    assert both["pattern"] == narrowed({"type": "string", "format": "date"})["pattern"]
    named = {"type": "string", "format": "ipv4", "pattern": "^10"}
    assert narrowed(named) == named


@pytest.mark.parametrize(
    ("form", "pattern"),
    [("date", "^1850"), ("uri", "^ftp:"), ("ipv4", "[a-z]"), ("email", "^[A-Z]")],
)
def test_a_format_and_a_pattern_that_no_text_fits_are_refused(form, pattern):
    # Where nothing requires the text the answer would leave it out in silence.
    schema = {"properties": {"x": {"type": "string", "format": form, "pattern": pattern}}}
    with pytest.raises(RequestError, match=rf"the pattern '.*' and the format '{form}'.* Take one"):
        narrowed(schema)


def test_numbers_stay_where_every_reader_is_exact():
    assert narrowed({"type": "integer"})["maximum"] == 2**53 - 1
    bounded = narrowed({"type": "number", "exclusiveMinimum": 3, "maximum": 5})
    assert "minimum" not in bounded
    assert bounded["maximum"] == 5


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, {"exclusiveMaximum": 0.5}),
        ({"exclusiveMaximum": 0, "minimum": -0.5}, {"minimum": -0.5}),
    ],
)
def test_a_bound_that_llguidance_would_let_pass_is_moved(bounds, kept):
    found = narrowed({"type": "number", **bounds})
    assert found.items() >= kept.items()
    [(moved, edge)] = found.items() - {"type": "number", **kept}.items()
    assert moved in ("minimum", "maximum")
    assert 0 < abs(edge) <= 1e-6


def test_a_bound_beyond_what_is_exact_is_the_callers():
    assert "maximum" not in narrowed({"type": "integer", "minimum": 10**17})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "array"},
        {"type": "object", "properties": {"x": {}}},
        {"type": "array", "items": True},
        {"anyOf": [{"type": "string"}, {"title": "anything"}]},
    ],
)
def test_any_value_has_finite_numbers(schema):
    found = narrowed(schema)
    [name] = found["$defs"]
    assert f'{{"$ref": "#/$defs/{name}"}}' in json.dumps(found)
    assert {"type": "number", "minimum": -(2**53) + 1, "maximum": 2**53 - 1} in found["$defs"][
        name
    ]["anyOf"]


def test_remarks_are_left_out():
    schema = {"type": "integer", "title": "Age", "default": float("inf"), "examples": [1]}
    assert narrowed(schema).keys() == {"type", "minimum", "maximum"}


@pytest.mark.parametrize("schema", [{"enum": [object()]}, {"const": {1, 2}}])
def test_what_is_no_json_is_refused(schema):
    with pytest.raises(RequestError, match="can't be written as JSON"):
        narrowed(schema)


def test_older_tuples_are_tuples():
    pair = {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}
    found = narrowed(pair | {"additionalItems": False})
    assert found["prefixItems"][1] == {"type": "string"}
    assert found["items"] is False
    assert "additionalItems" not in found


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        ({"type": "array"}, []),
        ({"type": "array", "uniqueItems": False}, []),
        ({"type": "array", "uniqueItems": True}, [EVERYWHERE]),
        ({"properties": {"a": {"anyOf": [{"uniqueItems": True}, {}]}, "b": {}}}, ["a"]),
        ({"properties": {"a": {"items": {"uniqueItems": True}}}}, ["a"]),
        ({"properties": {"a": {"additionalProperties": {"uniqueItems": True}}}}, [EVERYWHERE]),
        ({"$defs": {"S": {"uniqueItems": True}}}, [EVERYWHERE]),
        ({"type": "array", "items": [{"uniqueItems": True}, {}]}, [EVERYWHERE]),
        (
            {"properties": {"x": {"uniqueItems": True}, "y": {"$ref": "#/properties/x"}}},
            [EVERYWHERE],
        ),
        ({"$defs": {"S": {"properties": {"c": {"uniqueItems": True}}}}}, ["c"]),
    ],
)
def test_where_values_must_differ(schema, keys):
    assert unique_keys(schema) == set(keys)


def test_all_patterns_are_found():
    inner = {"type": "object", "patternProperties": {"^a": {"type": "string", "pattern": "b$"}}}
    assert sorted(patterns({"anyOf": [inner, {"pattern": "c"}]})) == ["^a", "b$", "c"]


def test_keys_that_must_match_are_properties():
    number = {"type": "object", "additionalProperties": {"type": "boolean"}}
    listed = narrowed(number | {"propertyNames": {"enum": ["a", "b"]}})
    assert listed["properties"] == {"a": {"type": "boolean"}, "b": {"type": "boolean"}}
    matched = narrowed(number | {"propertyNames": {"pattern": "^[a-z]+$"}})
    assert matched["patternProperties"] == {"^([a-z]+)$": {"type": "boolean"}}
    assert listed["additionalProperties"] is matched["additionalProperties"] is False


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        ({"minLength": 1, "maxLength": 3}, "^.{1,3}$"),
        ({"$ref": "#/definitions/Key"}, "^(k+)$"),
    ],
)
def test_keys_of_a_kind_have_its_pattern(names, pattern):
    found = narrowed(
        {
            "definitions": {"Key": {"pattern": "k+"}},
            "type": "object",
            "propertyNames": names,
            "additionalProperties": {"type": "null"},
        }
    )
    assert found["patternProperties"] == {pattern: {"type": "null"}}


def test_keys_with_a_pattern_are_all_there_are():
    schema = {"type": "object", "patternProperties": {"^x": {"type": "integer"}}}
    assert narrowed(schema)["additionalProperties"] is False


def test_of_two_bounds_the_tighter_holds():
    assert narrowed({"type": "integer", "minimum": 5, "exclusiveMinimum": 5}) == {
        "type": "integer",
        "exclusiveMinimum": 5,
        "maximum": 2**53 - 1,
    }
    assert "exclusiveMaximum" not in narrowed(
        {"type": "number", "maximum": 3, "exclusiveMaximum": 5}
    )


def test_constants_are_always_written():
    schema = {"type": "object", "properties": {"kind": {"const": "cat"}, "age": {}}}
    assert narrowed(schema)["required"] == ["kind"]


@pytest.mark.parametrize("value", [2**53, ["a\ud800"], {"\udfff": 1}])
def test_constants_that_would_be_changed_are_refused(value):
    with pytest.raises(RequestError, match="can't be written while decoding"):
        narrowed({"enum": [value]})
    narrowed({"enum": [2**53 - 1, "tab\tline\n", True]})


def test_free_keys_are_noticed():
    assert not has_free_keys(narrowed(COLOR))
    for free in ({}, {"type": "object"}, {"patternProperties": {"^a": COLOR}}):
        assert has_free_keys(narrowed({"type": "array", "items": free}))


def test_bounds_that_would_overflow_are_refused_or_left_out():
    for low, high in ((-(2**63), -(2**63)), (10**30, 10**31)):
        with pytest.raises(RequestError, match="bounds go up to"):
            narrowed({"type": "integer", "minimum": low, "maximum": high})
    whole = narrowed({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1})
    assert whole == {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}


def test_bounds_of_older_drafts_are_read():
    older = {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 5}
    assert narrowed(older | {"exclusiveMaximum": False}) == {
        "type": "integer",
        "exclusiveMinimum": 3,
        "maximum": 5,
    }


def test_older_drafts_are_rewritten_as_a_whole():
    pair = {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}
    found = narrowed({"$schema": "http://json-schema.org/draft-07/schema#", **pair})
    assert "$schema" not in found
    assert found["prefixItems"]


@pytest.mark.parametrize(
    ("parts", "apart"),
    [
        ([{"$ref": "#/$defs/Cat"}, {"type": "null"}], True),
        ([{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], True),
        ([{"type": "integer"}, {"type": "number"}], False),
        ([{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Cat"}], False),
        ([{"type": "string"}, {"minLength": 2}], False),
    ],
)
def test_one_of_is_any_of_where_no_value_fits_two(parts, apart):
    def pet(kind):
        return {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}

    definitions = {"Cat": pet("cat"), "Dog": pet("dog")}
    assert ("anyOf" in narrowed({"$defs": definitions, "oneOf": parts})) is apart


def test_several_demands_on_keys_are_none_forgotten():
    for more in ({"maxLength": 3}, {"minLength": 1, "maxLength": 3}, {"enum": ["ab"]}):
        both = {"type": "object", "propertyNames": {"pattern": "^a", **more}}
        assert "propertyNames" in narrowed(both)  # llguidance refuses it, and says so
    beside = {"propertyNames": {"pattern": "^a"}, "patternProperties": {"^b": {}}}
    assert "propertyNames" in narrowed(beside)


@pytest.mark.parametrize("open_", [{}, {"description": "any"}, {"x-vendor": 1}, {"nullable": True}])
def test_nothing_but_remarks_is_any_value(open_):
    assert narrowed(open_)["$ref"] == narrowed({"items": open_, "type": "array"})["items"]["$ref"]


def test_any_value_is_meant_beside_unknown_words():
    found = narrowed({"title": "t", "foo": 1})
    assert found["$ref"].removeprefix("#/$defs/") in found["$defs"]
