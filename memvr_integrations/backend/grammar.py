"""What an answer may look like, as a grammar: a JSON schema, tool calls, or text beside calls.

A call is written `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the form that several
open model families are trained on; the grammar makes any other model write it too.
"""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from memvr_integrations.errors import RequestError
from memvr_integrations.tools import JsonSchema
from memvr_integrations.types import Request

CALL_BEGIN, CALL_MIDDLE, CALL_END = '<tool_call>{"name": ', ', "arguments": ', "}</tool_call>"
MOST_CALLS = 8  # a model that was never trained for tools may not know when to stop

# Fixed white space: free white space lets a weak model write blanks until its budget is used up.
# No \\u escapes: half of a surrogate pair would be valid JSON, and no text.
_LAYOUT = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf"\\',
}
_DAY = (
    "(19|20)[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])"
_HOST = r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?(\.[a-z]{2,10}){1,2}"


def _uuid(version: int) -> str:
    """The pattern of a UUID, of one version unless that is 0."""
    hexes = "[0-9a-f]{%d}"
    third = (str(version) if version else "[1-8]") + hexes % 3
    return "-".join([hexes % 8, hexes % 4, third, "[89ab]" + hexes % 3, hexes % 12])


# Formats in a form that every reader takes: no year 0, no 31st of February, no odd mailbox.
_PATTERNS = {
    "date": _DAY,
    "time": _TIME,
    "date-time": f"{_DAY}T{_TIME}",
    "email": rf"[a-z0-9]([a-z0-9._-]{{0,30}}[a-z0-9])?@{_HOST}",
    "uri": rf"https?://{_HOST}(/[a-zA-Z0-9._~-]{{0,40}}){{0,4}}",
    "duration": "P[0-9]{1,3}D(T[0-9]{1,2}H([0-9]{1,2}M)?)?|PT[0-9]{1,2}[HMS]",
    **{f"uuid{version or ''}": _uuid(version) for version in range(9)},
}
_FORMATS = ("hostname", "ipv4", "ipv6")  # others are remarks, says the standard
_SHORT = 6  # values of an enum whose every subset can be listed
_SAFE = 2**53 - 1  # the largest whole number that every JSON reader keeps exact
_MANY = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONES = ("items", "additionalProperties", "not", "if", "then", "else", "contains")


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """A grammar in llguidance's Lark; `free_text` says that plain text is an answer too.

    Such text never begins with `<`, so the first character tells which it is.
    """

    lark: str
    free_text: bool


def grammar_of(request: Request) -> Grammar | None:
    """The grammar of a request's answer; None where any text will do."""
    callable_ = request.callable_tools
    answer = request.response_format
    if not callable_ and answer is None:
        return None
    rules, branches = [], []
    if callable_:
        branches.append("calls")
        several = request.parallel_tool_calls and request.tool_choice in ("auto", "required")
        rules.append(f"calls: call{{1,{MOST_CALLS}}}" if several else "calls: call")
        rules.append("call: " + " | ".join(f"call_{i}" for i in range(len(callable_))))
        for index, tool in enumerate(callable_):
            begin = json.dumps(CALL_BEGIN + json.dumps(tool.name) + CALL_MIDDLE)
            rules.append(f"call_{index}: {begin} arguments_{index} {json.dumps(CALL_END)}")
            rules.append(f"arguments_{index}: %json {_embedded(tool.parameters, as_object=True)}")
    if request.tool_choice == "auto" or not callable_:
        if answer is None:
            branches.append("TEXT")
            # A blank in front belongs to many tokenizers' first word.
            rules.append(r"TEXT: / ?[^<\s](.|\n)*/")
        else:
            branches.append("json")
            rules.append(f"json: %json {_embedded(answer)}")
    start = f'start: " "? ({" | ".join(branches)})'
    return Grammar(lark="\n".join([start, *rules, ""]), free_text="TEXT" in branches)


def _embedded(schema: JsonSchema, *, as_object: bool = False) -> str:
    plain = json.loads(json.dumps(schema))  # a copy, and an early error for what is no JSON
    if as_object:
        plain.setdefault("type", "object")
    # Parts that apply together may each list a share of the properties.
    closed = not any(_several(node.get("allOf")) for node in _nodes(plain))
    for node in _nodes(plain):
        _settle(node, plain)
        if closed and _is_plain_object(node):
            node["additionalProperties"] = False
        _require_constants(node)
    return json.dumps(plain | {"x-guidance": _LAYOUT})


def _settle(node: dict[str, object], root: Mapping[str, object]) -> None:
    """Narrow what a schema leaves open to what every reader understands."""
    form = node.get("format")
    if form not in _FORMATS:
        node.pop("format", None)
    if form in _PATTERNS:
        node.setdefault("pattern", f"^({_PATTERNS[str(form)]})$")
    _name_keys(node, root)
    for inclusive, exclusive, tighter in (
        ("minimum", "exclusiveMinimum", max),
        ("maximum", "exclusiveMaximum", min),
    ):
        # Of two bounds on one side the tighter holds; llguidance takes one.
        if isinstance(edge := node.get(exclusive), int | float) and inclusive in node:
            open_end = tighter(edge, node[inclusive]) == edge  # type: ignore[call-overload]
            del node[inclusive if open_end else exclusive]
    kinds = node.get("type")
    if kinds in ("integer", "number") or _several(kinds):
        if not node.keys() & {"minimum", "exclusiveMinimum"}:
            node["minimum"] = -_SAFE
        if not node.keys() & {"maximum", "exclusiveMaximum"}:
            node["maximum"] = _SAFE
    if node.get("uniqueItems") is False:
        del node["uniqueItems"]
    if node.get("uniqueItems") and (choices := _choices(node, root)) is not None:
        node.clear()
        node["enum"] = choices
    if isinstance(least := node.get("minProperties"), int) and least > 1:
        raise RequestError(
            f"minProperties={least} can't be enforced while decoding, because a model may repeat "
            "a key; name the properties and list them in 'required'."
        )


def _require_constants(node: dict[str, object]) -> None:
    """Write properties that have one value only, for that value may tell which class is meant."""
    properties, required = node.get("properties"), node.get("required", [])
    if isinstance(properties, dict) and isinstance(required, list):
        fixed = [key for key, one in properties.items() if isinstance(one, dict) and "const" in one]
        if fixed:
            node["required"] = [*required, *(key for key in fixed if key not in required)]


def _followed(schema: object, root: Mapping[str, object]) -> object:
    """What a reference to a definition stands for; anything else as it is."""
    definitions = root.get("$defs")
    if isinstance(schema, dict) and isinstance(definitions, dict) and "$ref" in schema:
        return definitions.get(str(schema["$ref"]).removeprefix("#/$defs/"))
    return schema


def _name_keys(node: dict[str, object], root: Mapping[str, object]) -> None:
    """Say by properties what `propertyNames` says of keys; llguidance knows only those."""
    names = node.get("propertyNames")
    names = _followed(names, root)
    if not isinstance(names, dict) or "properties" in node:
        return
    value = node.get("additionalProperties", {})
    pattern = names.get("pattern") or _PATTERNS.get(str(names.get("format")))
    if isinstance(enum := names.get("enum"), list):
        node["properties"] = dict.fromkeys(map(str, enum), value)
    elif pattern:
        node["patternProperties"] = {
            f"^({str(pattern).removeprefix('^').removesuffix('$')})$": value
        }
    else:
        return
    del node["propertyNames"]
    node["additionalProperties"] = False


def _choices(node: Mapping[str, object], root: Mapping[str, object]) -> list[list[object]] | None:
    """All arrays of different values of a short enum, in its order; None for other arrays."""
    items = _followed(node.get("items"), root)
    values = items.get("enum") if isinstance(items, dict) else None
    if not isinstance(values, list) or len(values) > _SHORT:
        return None
    least, most = node.get("minItems", 0), node.get("maxItems", len(values))
    assert isinstance(least, int)
    assert isinstance(most, int)
    sizes = range(least, min(most, len(values)) + 1)
    return [list(some) for size in sizes for some in itertools.combinations(values, size)]


def _is_plain_object(node: Mapping[str, object]) -> bool:
    """Whether a schema lists an object's properties and says nothing of others.

    Others are then left out: they would be valid, but nobody asked for them.
    """
    others = ("additionalProperties", "unevaluatedProperties", "$ref", *_LISTS)
    listed = "properties" in node or "patternProperties" in node
    return listed and not any(key in node for key in others)


def _several(parts: object) -> bool:
    return isinstance(parts, list) and len(parts) > 1


def _nodes(schema: object) -> Iterable[dict[str, object]]:
    """Every schema inside a schema; data such as defaults and enums are not looked into."""
    if not isinstance(schema, dict):
        return
    yield schema
    inner: list[object] = []
    for key in _MANY:
        if isinstance(schema.get(key), dict):
            inner += schema[key].values()
    for key in _LISTS:
        if isinstance(schema.get(key), list):
            inner += schema[key]
    inner += [schema[key] for key in _ONES if key in schema]
    for one in inner:
        yield from _nodes(one)
