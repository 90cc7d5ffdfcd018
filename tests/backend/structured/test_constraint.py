import datetime
import ipaddress
import json
import random
import re
import uuid
from contextlib import suppress

import jsonschema
import numpy as np
import pytest
from bundled_model.training.model import open_tokenizer

from memvr_integrations.backend.structured import way_out
from memvr_integrations.backend.structured.constraint import Grammars
from memvr_integrations.backend.structured.grammar import grammar_of
from memvr_integrations.errors import RequestError, UnsupportedModelError
from memvr_integrations.types import Message, Request, Tool


@pytest.fixture(scope="module")
def tokenizer():
    return open_tokenizer()


@pytest.fixture(scope="module")
def grammars(tokenizer):
    return Grammars(tokenizer, vocabulary=len(tokenizer), ends=frozenset([tokenizer.eos_token_id]))


def grammar(**options):
    return grammar_of(Request(messages=[Message("user", "Hello")], **options))


def seek_little(monkeypatch):
    """A search in vain ends sooner; one that finds nothing so soon is taken for one."""
    monkeypatch.setattr(way_out, "_EFFORT", (200, 1))


def shortest(grammars, grammar):
    """A limit under which an answer can just be begun, sought below what the error says."""
    with pytest.MonkeyPatch.context() as patched:
        seek_little(patched)
        return _shortest(grammars, grammar)


def _shortest(grammars, grammar):
    try:
        grammars.start(grammar, 1)
    except RequestError as refused:
        limit = int(re.search(r"but one of (\d+) was", str(refused))[1])
    else:
        return 1
    with suppress(RequestError):
        while True:
            grammars.start(grammar, limit)
            limit -= 1
    return limit + 1


def write(grammars, tokenizer, grammar, limit, seed):
    """An answer of random tokens, as wild as the grammar lets it be."""
    constraint, rng, ids = grammars.start(grammar, limit), random.Random(seed), []
    while not ids or ids[-1] != tokenizer.eos_token_id:
        allowed = constraint.allowed()
        every = range(len(tokenizer))
        choices = every if allowed is None else np.nonzero(allowed.numpy())[0].tolist()
        ids.append(constraint.take(rng.choice(choices)))
        if len(ids) == limit:
            break
    return ids, tokenizer.decode(ids, skip_special_tokens=True)


NODE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
        }
    },
    "$ref": "#/$defs/Node",
}
SCHEMAS = [
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    {
        "type": "object",
        "properties": {
            "word": {"type": "string", "minLength": 30, "maxLength": 40},
            "four": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
            "one of": {"enum": ["réd", "漢字", 3, None]},
        },
        "required": ["word", "four", "one of"],
    },
    NODE,
    {"type": "array", "items": {"type": "number", "minimum": -1}, "minItems": 2, "maxItems": 4},
    {},
    {"type": "number", "exclusiveMinimum": 0},
    {"type": "number", "exclusiveMaximum": 0.05, "minimum": 0.01},
    {"type": "integer", "multipleOf": 7, "minimum": 100},
    {"type": "object", "patternProperties": {"^[a-z]{1,4}$": {"type": "integer"}}},
    {
        "type": "object",
        "propertyNames": {"enum": ["a", "b"]},
        "additionalProperties": {"type": "boolean"},
    },
    {"type": "string", "pattern": "^(ab)*c$"},
    {"type": "string", "pattern": "^.+@.+$"},
    {"type": "string", "pattern": r"^.*\.(png|jpeg)$"},
    {"type": "string", "pattern": "^foo|bar$"},
    {"type": "string", "pattern": "[A-Z]{2}"},
    {"type": "string", "pattern": r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$"},
    {"type": "string", "pattern": '^[^"]{2}$'},
    {"type": "string", "pattern": r'^[^"\\]+$'},
    {"type": ["number"]},
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array",
        "items": [{"type": "null"}],
    },
    {"oneOf": [{"$ref": "#/$defs/S"}, {"type": "null"}], "$defs": {"S": {"type": "string"}}},
    {"type": "string", "pattern": r"^\S+@\S+\.\S+$", "minLength": 20},
    {"type": "string", "pattern": "^[^,]+, [^,]+$"},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
    {"type": "number", "exclusiveMinimum": 1, "maximum": 1.5},
    {"type": "number", "exclusiveMinimum": -0.25, "exclusiveMaximum": 0},
    {"type": "integer", "minimum": 10**17},
    {"type": "array", "uniqueItems": True},
    {"type": "array", "uniqueItems": True, "minItems": 4, "items": {"type": "string"}},
    {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"enum": ["réd", 2, None]}},
    {"type": "array", "uniqueItems": True, "minItems": 6, "items": {"enum": [*"abcdef"]}},
    {"type": "string", "pattern": "^<([a-z]+)>.*</[a-z]+>$"},
    {"type": "string", "pattern": '^"[^"]+"$'},
    {"type": "string", "pattern": r"^(/[^/\s]+)+\.txt$"},
    {"type": "string", "pattern": r"^\+?[0-9]{1,3}[ -]\(?[0-9]{3}\)?[ -][0-9]{3}-[0-9]{4}$"},
    {
        "type": "object",
        "properties": {
            "tags": {
                "type": "array",
                "items": {"type": "string"},
                "uniqueItems": True,
                "minItems": 2,
                "maxItems": 3,
            },
            "mail": {"type": "string", "pattern": r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"},
        },
        "required": ["tags", "mail"],
    },
    {
        "type": "object",
        "properties": {
            "digits": {
                "type": "array",
                "uniqueItems": True,
                "items": {"type": "integer", "minimum": 0, "maximum": 9},
            },
            "box": {"type": "array", "items": {"const": 0}, "minItems": 4, "maxItems": 4},
        },
        "required": ["digits", "box"],
    },
    {"type": "object", "additionalProperties": True, "required": ["a"]},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
    {"type": "object", "patternProperties": {"^[ab]{1,2}$": {}}, "minProperties": 2},
    {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}},
                "required": ["kind", "x"],
            },
            {
                "type": "object",
                "properties": {"kind": {"const": "b"}},
                "required": ["kind"],
            },
        ]
    },
    {
        "type": "object",
        "properties": {
            f"part {i}": {
                "type": "object",
                "properties": {f"{j}": {"type": "string"} for j in range(4)},
                "required": [f"{j}" for j in range(4)],
            }
            for i in range(3)
        },
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
def test_any_answer_fits_and_ends_in_time(grammars, tokenizer, schema):
    asked = grammar(response_format=schema)
    least = shortest(grammars, asked)
    for seed, limit in enumerate((least, least + 30)):
        ids, text = write(grammars, tokenizer, asked, limit, seed)
        assert len(ids) <= limit
        assert ids[-1] == tokenizer.eos_token_id
        jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("how", ["patternProperties", "propertyNames"])
@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ('^[^"]{3}$', '{"a\\"b": 1}', False),
        ('^[^"]{3}$', '{"a-b": 1}', True),
        ("^[^x]{3}$", '{"a\\"b": 1}', True),
        (r"^a\$", '{"a$": 1}', True),
    ],
)
def test_keys_fit_their_pattern(grammars, tokenizer, how, pattern, text, fits):
    whole = {"type": "integer"}
    said = {"patternProperties": {pattern: whole}, "additionalProperties": False}
    if how == "propertyNames":
        said = {"propertyNames": {"pattern": pattern}, "additionalProperties": whole}
    constraint = grammars.start(grammar(response_format={"type": "object", **said}), 60)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    taken = [constraint.take(token) for token in ids]
    assert (tokenizer.decode(taken) == text) is fits


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("date", datetime.date.fromisoformat),
        ("time", datetime.time.fromisoformat),
        ("date-time", datetime.datetime.fromisoformat),
        ("uuid4", lambda text: uuid.UUID(text).version == 4 or pytest.fail(text)),
    ],
)
def test_formats_can_be_read(grammars, tokenizer, form, read):
    asked = grammar(response_format={"type": "string", "format": form})
    for seed in range(8):
        _, text = write(grammars, tokenizer, asked, 60, seed)
        read(json.loads(text))


@pytest.mark.parametrize(
    ("form", "pattern", "read"),
    [
        ("date", "-0[26]-", datetime.date.fromisoformat),
        ("date-time", "^2026.*Z$", datetime.datetime.fromisoformat),
        ("uuid", "^1234", uuid.UUID),
        ("ipv4", r"^10\..*7$", ipaddress.IPv4Address),
        ("email", r"^a.*@example\.org$", str),
    ],
)
def test_a_format_and_a_pattern_are_both_kept(grammars, tokenizer, form, pattern, read):
    asked = grammar(response_format={"type": "string", "format": form, "pattern": pattern})
    for seed in range(6):
        text = json.loads(write(grammars, tokenizer, asked, 60, seed)[1])
        assert re.search(pattern, text)
        read(text)


def test_a_call_is_always_whole(grammars, tokenizer):
    tool = Tool(name="paint", parameters=SCHEMAS[1])
    asked = grammar(tools=[tool, Tool(name="look")], tool_choice="required")
    for seed in range(6):
        _, text = write(grammars, tokenizer, asked, 150, seed)
        text = text.strip()
        assert text.startswith('<tool_call>{"name": ')
        assert text.endswith("}</tool_call>")


def test_text_is_free_after_its_first_character(grammars, tokenizer):
    constraint = grammars.start(grammar(tools=[Tool(name="look")]), 10)
    assert constraint.structured is None
    constraint.take(tokenizer.convert_tokens_to_ids("Y"))
    assert constraint.structured is False
    assert constraint.allowed() is None
    assert constraint.take(77) == 77  # not replaced, however near the limit is


def test_a_call_shows_at_its_first_character(grammars, tokenizer):
    constraint = grammars.start(grammar(tools=[Tool(name="look")]), 100)
    constraint.take(tokenizer.convert_tokens_to_ids("Ġ"))
    assert constraint.structured is None
    constraint.take(tokenizer.convert_tokens_to_ids("<"))
    assert constraint.structured is True


def test_an_answer_that_cannot_end_in_time_is_refused(grammars):
    asked = grammar(response_format=SCHEMAS[0])
    least = shortest(grammars, asked)
    with pytest.raises(RequestError, match=rf"within the {least - 1} tokens .* raise max_tokens"):
        grammars.start(asked, least - 1)


def test_a_replayed_token_is_never_replaced(grammars, tokenizer):
    asked = grammar(response_format={"type": "string"})
    first = grammars.start(asked, 40)
    taken = [first.take(tokenizer.convert_tokens_to_ids(t)) for t in ('"', "a", "b", "c")]
    again = grammars.start(asked, 40)
    assert [again.take(token, replayed=True) for token in taken] == taken
    assert again.allowed().equal(first.allowed())


@pytest.mark.parametrize(
    ("schema", "match"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "https://example.org/schema"}, "example.org/schema"),
        ({"type": "strin"}, "strin"),
    ],
)
def test_what_cannot_be_enforced_is_named(grammars, schema, match):
    with pytest.raises(RequestError, match=rf"can't be enforced while decoding: .*{match}"):
        grammars.check(grammar(response_format=schema))


def test_more_different_values_than_there_are_are_refused(grammars, monkeypatch):
    seek_little(monkeypatch)
    schema = {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "boolean"}}
    with pytest.raises(RequestError, match="more different values than there are"):
        grammars.check(grammar(response_format=schema))


def test_open_values_are_no_infinite_numbers(grammars, tokenizer):
    constraint = grammars.start(grammar(response_format={"type": "object"}), 60)
    written = [
        constraint.take(token)
        for token in tokenizer('{"a": 9e999', add_special_tokens=False).input_ids
    ]
    assert "9e" not in tokenizer.decode(written)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8])
def test_auto_never_begins_a_call_that_does_not_fit(grammars, tokenizer, limit):
    constraint = grammars.start(grammar(tools=[Tool(name="look")]), limit)
    allowed = np.nonzero(constraint.allowed().numpy())[0]
    begun = {tokenizer.decode([t], skip_special_tokens=True).strip()[:1] for t in allowed}
    assert "<" not in begun
    [token] = tokenizer("Yes", add_special_tokens=False).input_ids[:1]
    assert constraint.take(token) == token
    assert constraint.allowed() is None


@pytest.mark.parametrize(("choice", "may"), [("auto", True), ("required", False)])
def test_beside_tools_a_model_may_say_nothing(grammars, tokenizer, choice, may):
    constraint = grammars.start(grammar(tools=[Tool(name="look")], tool_choice=choice), 60)
    end = tokenizer.eos_token_id
    assert bool(constraint.allowed()[end]) == may
    if may:
        assert constraint.take(end) == end
        assert not constraint.structured


def test_a_call_that_just_fits_is_whole(grammars, tokenizer):
    asked = grammar(tools=[Tool(name="look")])
    [less] = tokenizer("<", add_special_tokens=False).input_ids[-1:]
    limit = next(n for n in range(200) if grammars.start(asked, n).allowed()[less])
    for seed in range(5):
        constraint, rng = grammars.start(asked, limit), random.Random(seed)
        ids = [constraint.take(less)]
        while ids[-1] != tokenizer.eos_token_id:
            ids.append(
                constraint.take(rng.choice(constraint.allowed().nonzero().flatten().tolist()))
            )
        assert len(ids) <= limit
        assert tokenizer.decode(ids[:-1]).endswith("}</tool_call>")


def test_a_tokenizer_may_know_more_than_the_model_has_rows_for(tokenizer):
    rows = len(tokenizer) - 20
    small = Grammars(tokenizer, vocabulary=rows, ends=frozenset([tokenizer.eos_token_id]))
    assert small.start(grammar(response_format={}), 50).allowed().shape == (rows,)


def test_an_endless_schema_is_refused(grammars, monkeypatch):
    monkeypatch.setattr(way_out, "_PLAN", ((32, 1),))  # less patience, no other outcome
    seek_little(monkeypatch)
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}, "required": ["next"]}
    with pytest.raises(RequestError, match=r"No answer of at most|can't be enforced"):
        grammars.check(grammar(response_format={"$defs": {"N": node}, "$ref": "#/$defs/N"}))


def test_a_slow_tokenizer_is_reported():
    grammars = Grammars([], vocabulary=10, ends=frozenset([1]))
    with pytest.raises(UnsupportedModelError, match="fast tokenizer"):
        grammars.check(grammar(response_format={}))


def test_a_decimal_point_is_kept_while_there_is_room(grammars, tokenizer):
    """The short way out must be found after it, or it would be replaced without need."""
    names = [f"text {i}" for i in range(12)]
    properties = {"score": {"type": "number"}, **{name: {"type": "string"} for name in names}}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    constraint = grammars.start(grammar(response_format=schema), 1000)
    for token in tokenizer('{"score": 0.93', add_special_tokens=False).input_ids:
        assert constraint.take(token) == token
