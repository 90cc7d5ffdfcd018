"""Narrows a JSON schema to what can be kept token by token, and what every reader understands."""

import itertools
import json
import re
from collections.abc import Mapping

from llguidance import LLMatcher

from memvr_integrations.backend.structured.closing import (
    ANY,
    ANYTHING,
    closed,
    followed,
    says_nothing,
)
from memvr_integrations.backend.structured.schema_parts import nodes
from memvr_integrations.errors import RequestError
from memvr_integrations.types.tools import JsonSchema

_DAY = (
    "(19|20)[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_TIME = rf"{_CLOCK}(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])"
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
    "local-date-time": f"{_DAY}T{_CLOCK}",
    "email": rf"[a-z0-9]([a-z0-9._-]{{0,30}}[a-z0-9])?@{_HOST}",
    "uri": rf"https?://{_HOST}(/[a-zA-Z0-9._~-]{{0,40}}){{0,4}}",
    "duration": "P[0-9]{1,3}D(T[0-9]{1,2}H([0-9]{1,2}M)?)?|PT[0-9]{1,2}[HMS]",
    **{f"uuid{version or ''}": _uuid(version) for version in range(9)},
}
_FORMATS = ("hostname", "ipv4", "ipv6")  # others are remarks, says the standard
_SAFE = 2**53 - 1  # the largest whole number that every JSON reader keeps exact
_TOO_FAR = 10**18  # beyond it llguidance's whole numbers overflow
_REMARKS = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
_HALVES = re.compile("[\ud800-\udfff]")  # of characters: no text
_ANY_MEANS = {
    "anyOf": [
        {"type": "string"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "array", "items": ANY},
        {"type": "object", "additionalProperties": ANY},
    ]
}


def narrowed(schema: JsonSchema, *, as_object: bool = False) -> dict[str, object]:
    """A copy of a schema, no wider than the schema, that can be written as a grammar.

    Raises:
        RequestError: It is no JSON, or a part of it can't be kept while decoding.
    """
    try:
        # allow_nan=False would mind infinite defaults, which are only remarks.
        plain: dict[str, object] = json.loads(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(
            f"The schema {schema!r:.200} can't be written as JSON ({error}); give strings, "
            "numbers, lists and dicts only."
        ) from error
    if as_object:
        plain.setdefault("type", "object")
    plain.pop("$schema", None)  # older drafts write some parts in another way, `_settle` none
    for node in nodes(plain):
        _settle(node, plain)
    if says_nothing(plain):
        plain["$ref"] = ANY["$ref"]
    plain = closed(plain)
    for node in nodes(plain):
        _require_constants(node)
    for node in nodes(plain):
        _join_disjoint(node, plain)
    if any(node.get("$ref") == ANY["$ref"] for node in nodes(plain)):
        definitions = plain.setdefault("$defs", {})
        assert isinstance(definitions, dict)
        if ANYTHING in definitions:
            raise RequestError(f"The name {ANYTHING!r} in $defs is taken here; choose another.")
        definitions[ANYTHING] = json.loads(json.dumps(_ANY_MEANS))
        for node in nodes(definitions[ANYTHING]):
            _bound(node)
    return plain


def _settle(node: dict[str, object], root: dict[str, object]) -> None:
    for remark in _REMARKS:
        node.pop(remark, None)
    if isinstance(kinds := node.get("type"), list) and len(kinds) == 1:
        node["type"] = kinds[0]
    if isinstance(pattern := node.get("pattern"), str):
        node["pattern"] = _without_quotes(pattern)
    if isinstance(keys := node.get("patternProperties"), dict):
        node["patternProperties"] = {_without_quotes(key): value for key, value in keys.items()}
    _keep_format(node)
    if isinstance(node.get("items"), list):  # as drafts before 2020 write tuples
        node["prefixItems"] = node.pop("items")
        node["items"] = node.pop("additionalItems", True)
    _name_keys(node, root)
    _bound(node)
    node.pop("uniqueItems", None)  # kept by `Repeats`
    for fixed in ("const", "enum"):
        _check_constants(node.get(fixed))


def _keep_format(node: dict[str, object]) -> None:
    """Say a format by its pattern, where llguidance has none of that form; the own one holds too.

    Raises:
        RequestError: No text is of both.
    """
    form, own, beside = str(node.get("format")), node.get("pattern"), node.get("allOf", [])
    if form not in _FORMATS:
        node.pop("format", None)
    said = {"pattern": f"^({_PATTERNS[form]})$"} if form in _PATTERNS else {}
    if not isinstance(own, str) or not isinstance(beside, list):
        node |= said
    elif said or form in _FORMATS:
        both = {"type": "string", "pattern": own, "allOf": [said or {"format": form}]}
        problem = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(json.dumps(both)))
        if problem.startswith("Unsatisfiable"):
            raise RequestError(
                f"No text fits both the pattern {own!r} and the format {form!r} of this schema "
                f"as it is written while decoding{': ' * bool(said)}{said.get('pattern', '')}. "
                "Take one of them out of the schema, and check it after the answer."
            )
        node |= {"allOf": [*beside, said]} if said else {}


def _check_constants(value: object) -> None:
    """Refuse what llguidance would round, or can't write as text."""
    if isinstance(value, list | dict):
        for inner in value if isinstance(value, list) else [*value, *value.values()]:
            _check_constants(inner)
    large = isinstance(value, int) and abs(value) > _SAFE
    if large or (isinstance(value, str) and _HALVES.search(value)):
        raise RequestError(
            f"The constant {value!r} can't be written while decoding; whole numbers go up to "
            f"{_SAFE}, and text is without half characters (lone surrogates)."
        )


def _bound(node: dict[str, object]) -> None:
    """Keep numbers where every reader is exact, and open bounds open."""
    sides = (
        ("minimum", "exclusiveMinimum", max, -_SAFE),
        ("maximum", "exclusiveMaximum", min, _SAFE),
    )
    for inclusive, exclusive, *_ in sides:
        if isinstance(node.get(exclusive), bool):  # as draft 4 writes it
            open_end = node.pop(exclusive)
            if open_end and inclusive in node:
                node[exclusive] = node.pop(inclusive)
    for inclusive, exclusive, tighter, _ in sides:
        # Of two bounds on one side the tighter holds; llguidance takes one.
        if isinstance(edge := node.get(exclusive), int | float) and inclusive in node:
            open_end = tighter(edge, node[inclusive]) == edge  # type: ignore[call-overload]
            del node[inclusive if open_end else exclusive]
    kinds = node.get("type")
    if kinds not in ("integer", "number") and not _several(kinds):
        return
    given = [_number(node, inclusive, exclusive) for inclusive, exclusive, *_ in sides]
    low, high = given
    if (low is not None and low >= _TOO_FAR) or (high is not None and high <= -_TOO_FAR):
        raise RequestError(
            f"Numbers from {low} to {high} can't be written while decoding; bounds go up to 10^18."
        )
    for at, (inclusive, exclusive, *_) in enumerate(sides):
        if abs(given[at] or 0) >= _TOO_FAR:
            node.pop(inclusive, None)
            node.pop(exclusive, None)
            given[at] = None
    low, high = given
    largest = max(abs(edge) for edge in (*given, 0) if edge is not None)
    for (inclusive, *_, usual), edge in zip(sides, given, strict=True):
        if edge is None and largest <= _SAFE:
            node[inclusive] = usual
    if low is None or high is None or not 0 < high - low < 1 or kinds == "integer":
        return
    # llguidance lets a whole number pass as its own open bound where the other one is near.
    step = min(1e-6, (high - low) / 1000)
    if float(low).is_integer() and node.pop("exclusiveMinimum", None) is not None:
        node["minimum"] = low + step
    if float(high).is_integer() and node.pop("exclusiveMaximum", None) is not None:
        node["maximum"] = high - step


def _number(node: Mapping[str, object], *names: str) -> float | None:
    values = (node.get(name) for name in names)
    return next((value for value in values if isinstance(value, int | float)), None)


def _without_quotes(pattern: str) -> str:
    """A pattern whose negated classes exclude control characters too.

    llguidance lets every escape pass where a class holds all of those, also that of a quote.
    """
    return re.sub(r"(?<!\\)\[\^(?!\\x00)", r"[^\\x00", pattern)


def _join_disjoint(node: dict[str, object], root: dict[str, object]) -> None:
    """Write "one of" as "any of" where no value fits two; llguidance proves it seldom."""
    several = node.get("oneOf")
    if not isinstance(several, list) or "anyOf" in node:
        return
    parts = [followed(part, root) for part in several]
    if all(_disjoint(one, other) for one, other in itertools.combinations(parts, 2)):
        node["anyOf"] = node.pop("oneOf")


def _disjoint(one: object, other: object) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    kinds = [part.get("type") for part in (one, other)]
    if all(isinstance(kind, str) for kind in kinds):
        numbers = {"integer", "number"}
        if kinds[0] != kinds[1] and set(kinds) != numbers:
            return True
    shared = set(one.get("required", ())) & set(other.get("required", ()))
    tags = [(_fixed(one, name), _fixed(other, name)) for name in shared]
    return any(ours and theirs and ours.isdisjoint(theirs) for ours, theirs in tags)


def _fixed(schema: Mapping[str, object], name: str) -> set[str]:
    """The values that a property may have, where they are listed."""
    properties = schema.get("properties")
    one = properties.get(name) if isinstance(properties, dict) else None
    if not isinstance(one, dict):
        return set()
    values = one.get("enum", [one["const"]] if "const" in one else [])
    return {json.dumps(value) for value in values}


def _require_constants(node: dict[str, object]) -> None:
    """Write properties that have one value only, for that value may say which class is meant."""
    properties, required = node.get("properties"), node.get("required", [])
    if isinstance(properties, dict) and isinstance(required, list):
        fixed = [key for key, one in properties.items() if isinstance(one, dict) and "const" in one]
        if fixed:
            node["required"] = [*required, *(key for key in fixed if key not in required)]


def _name_keys(node: dict[str, object], root: dict[str, object]) -> None:
    """Say by properties what `propertyNames` says of keys; llguidance knows only those."""
    names, lengths = followed(node.get("propertyNames"), root), {"minLength", "maxLength"}
    if not isinstance(names, dict) or "properties" in node or "patternProperties" in node:
        return
    demands = names.keys() & {"pattern", "format", "enum", "const", *lengths}
    if len(demands) > 1 and not demands <= lengths:
        return  # refused, with its name, rather than kept by half
    value = node.get("additionalProperties", {})
    pattern = names.get("pattern") or _PATTERNS.get(str(names.get("format")))
    enum = names.get("enum", [names["const"]] if "const" in names else None)
    if isinstance(enum, list):
        node["properties"] = dict.fromkeys(map(str, enum), value)
    elif pattern:
        bare = re.sub(r"(?<!\\)\$$", "", _without_quotes(str(pattern)).removeprefix("^"))
        node["patternProperties"] = {f"^({bare})$": value}
    elif names.keys() <= {"type", *lengths}:
        size = f"{names.get('minLength', 0)},{names.get('maxLength', '')}"
        node["patternProperties"] = {f"^.{{{size}}}$": value}
    else:
        return
    del node["propertyNames"]
    node["additionalProperties"] = False


def _several(parts: object) -> bool:
    return isinstance(parts, list) and len(parts) > 1
