"""How unsure a model was of each value in JSON."""

import json
import re

import pytest

from memvr_integrations.grounding.unsure_values import may_be_null, unsure_values, without
from memvr_integrations.types import TokenRecord


def written(text, unsure=(), before=""):
    """Tokens of three characters; those that touch a piece of `unsure` are unsure of it."""
    whole, tokens = before + text, []
    for at in range(0, len(whole), 3):
        piece = whole[at : at + 3]
        spans = ((whole.index(one), whole.index(one) + len(one), much) for one, much in unsure)
        here = (much for start, end, much in spans if start < at + 3 and at < end)
        entropy = max(here, default=0)
        tokens.append(TokenRecord(id=0, text=piece, logprob=-0.1, output_entropy=entropy))
    return tokens


DATA = {"thing": 'a "cow"', "parts": [1, {"seen": True}, None], "far/~off": -2.5e3, "no": []}


@pytest.mark.parametrize("indent", [None, 2])
def test_every_value_is_found_in_its_place(indent):
    text = json.dumps(DATA, indent=indent)
    found = unsure_values(text, written(text))
    assert {one.pointer: one.value for one in found} == {
        "/thing": 'a "cow"',
        "/parts/0": 1,
        "/parts/1/seen": True,
        "/parts/2": None,
        "/far~1~0off": -2500,
    }
    [alone] = unsure_values("true", written("true"))
    assert (alone.pointer, alone.value) == ("", True)


def test_a_value_is_as_unsure_as_its_tokens():
    text = json.dumps({"animal": "a horse", "count": 312})
    tokens = written(text, [("animal", 0.9), ("horse", 0.4), ("312", 0.2)], before="Well: ")
    horse, count = unsure_values(text, tokens, start=6)
    assert (horse.unsureness, count.unsureness) == (0.4, 0.2)  # names don't count
    marks = written('{"a": "?!"}', [("?!", 0.9)])
    marks = [token for token in marks if not re.search(r"\w", token.text)]
    assert all(one.unsureness == 0 for one in unsure_values('{"a": "?!"}', marks))


def test_values_are_taken_out():
    assert without(DATA, [("thing",), ("parts", 1, "seen")]) == DATA | {
        "thing": None,
        "parts": [1, {"seen": None}, None],
    }
    assert without(DATA, []) == DATA
    assert without(3, [()]) is None


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "kind": {"enum": ["a", None]},
        "both": {"type": ["string", "null"]},
        "again": {"$ref": "#"},
        "loop": {"$ref": "#/$defs/loop"},
        "all": {"allOf": [{"type": ["string", "null"]}, {"minLength": 1}]},
        "list": {"type": "array", "prefixItems": [{"const": None}], "items": {"type": "integer"}},
    },
    "additionalProperties": {"type": "null"},
    "$defs": {"loop": {"$ref": "#/$defs/loop"}},
}


@pytest.mark.parametrize(
    ("path", "may"),
    [
        (("name",), False),
        (("age",), True),
        (("kind",), True),
        (("both",), True),
        (("again", "again", "age"), True),
        (("again", "name"), False),
        (("loop",), False),
        (("all",), False),  # which is not simple to say
        (("list", 0), True),
        (("list", 1), False),
        (("other",), True),
        ((), False),
    ],
)
def test_a_schema_says_where_null_may_stand(path, may):
    assert may_be_null(SCHEMA, path) is may
