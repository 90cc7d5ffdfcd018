"""Closes a schema's objects: those that list properties get no others, unless the schema says so.

Where several parts speak of one object's keys (`allOf`, words beside a `$ref`, a choice beside
properties), each knows only its own share of them. So they are written as one object first, a
choice as one object for each of its branches.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import unquote

from memvr_integrations.backend.structured.schema_parts import LISTS, MANY, ONES, nodes
from memvr_integrations.errors import RequestError

MOST_FORMS = 256  # objects that the choices beside each other may combine to
ANYTHING = "any-value-of-JSON"
# A value of any type, its numbers within bounds: 1e999 is valid JSON that Python reads as infinity.
ANY: Mapping[str, object] = {"$ref": f"#/$defs/{ANYTHING}"}
_SAYS = {
    *("type", "enum", "const", "$ref", "$dynamicRef", "not", "if", "anyOf", "oneOf", "allOf"),
    *("properties", "patternProperties", "additionalProperties", "required", "propertyNames"),
    *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas"),
    *("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("pattern", "format", "minLength", "maxLength", "unevaluatedProperties", "unevaluatedItems"),
}
_LISTED = ("properties", "patternProperties")
_OTHERS = "unevaluatedProperties"
_KEYS = (*_LISTED, "additionalProperties", "required")  # what says which keys an object has
_CHOICES = ("anyOf", "oneOf")
_NAMES = ("$defs", "definitions", "$id", "$anchor")  # what stays where it is: references lead there

Node: TypeAlias = dict[str, object]
_Choice: TypeAlias = tuple[str, Sequence[object], tuple[str, ...]]


def closed(schema: Node) -> Node:
    """A copy of a schema with its objects closed, and with `ANY` where it says nothing.

    Raises:
        RequestError: Its choices combine to too many objects.
    """
    closer = _Closer(schema)
    made = closer.closed(schema)
    assert isinstance(made, dict)
    if closer.definitions:
        made["$defs"] = {**_mapping(made.get("$defs")), **closer.definitions}
    return made


def says_nothing(schema: object) -> bool:
    """Whether a schema lets any value pass."""
    return schema is True or (isinstance(schema, dict) and not schema.keys() & _SAYS)


def followed(schema: object, root: Node) -> object:
    """What a reference inside the schema stands for, None where it leads nowhere; else itself."""
    if not isinstance(schema, dict) or not isinstance(ref := schema.get("$ref"), str):
        return schema
    ref = ref.removeprefix(str(root.get("$id", "")))
    if ref.startswith("#") and not ref.startswith(("#/", "##")) and ref != "#":
        return next((node for node in nodes(root) if node.get("$anchor") == ref[1:]), None)
    found: object = root if ref.startswith("#") else None
    for step in ref.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal():
            found = found[int(name)] if int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found


class _LeadsNowhere(Exception):
    """A reference is to another document, or to itself."""


class _Closer:
    """Writes one schema anew; `root` is where its references lead.

    `definitions` are objects of several parts that contain themselves, or come more than once.
    """

    def __init__(self, root: Node) -> None:
        self._root = root
        names = (f"parts-{number}-of-JSON" for number in itertools.count(1))
        self._free = (name for name in names if name not in _mapping(root.get("$defs")))
        self._names: dict[str, str | None] = {}
        self._made: dict[str, object] = {}
        self.definitions: dict[str, object] = {}

    def closed(self, schema: object, *, shared: bool = False) -> object:
        """A schema that stands alone, or (`shared`) beside others that say nothing of keys."""
        if not isinstance(schema, dict):
            return schema
        if self._talkers(schema) > 1 and any(key in schema for key in ("$ref", *LISTS[:3])):
            try:
                return self._joined(schema)
            except _LeadsNowhere:
                return schema
        beside = shared or "allOf" in schema
        made = {key: self._below(key, value, beside) for key, value in schema.items()}
        _close(made, made.pop(_OTHERS, None))
        if not beside:
            _name_what_is_open(made)
        return made

    def _below(self, key: str, value: object, shared: bool = False) -> object:
        """What stands under a key of a schema, closed."""
        if key in MANY and isinstance(value, dict):
            return {name: self.closed(one) for name, one in value.items()}
        if key in LISTS and isinstance(value, list):
            beside = shared and key == "allOf" and len(value) > 1
            return [self.closed(one, shared=beside) for one in value]
        return self.closed(value) if key in ONES else value

    def _talkers(self, schema: Node) -> int:
        """How many of the parts that apply together say something of an object's keys."""
        parts: list[object] = [{key: schema[key] for key in (*_KEYS, _OTHERS) if key in schema}]
        parts += [{"$ref": schema["$ref"]}] if "$ref" in schema else []
        several = schema.get("allOf")
        parts += several if isinstance(several, list) else []
        parts += [{key: schema[key]} for key in _CHOICES if key in schema]
        return sum(self._talks(part, set()) for part in parts)

    def _talks(self, schema: object, seen: set[str]) -> bool:
        if not isinstance(schema, dict):
            return False
        if any(key in schema for key in (*_KEYS, _OTHERS)):
            return True
        parts = [one for key in LISTS[:3] for one in _listed(schema.get(key))]
        ref = str(schema.get("$ref", ""))
        if ref and ref not in seen:
            seen.add(ref)
            target = followed({"$ref": ref}, self._root)
            if target is None:  # whatever stands there may say something
                return True
            parts.append(target)
        return any(self._talks(part, seen) for part in parts)

    def _joined(self, schema: Node) -> object:
        """Parts that share an object, as one object or a choice of such."""
        written = json.dumps(schema, sort_keys=True)
        if written not in self._names:
            self._names[written] = None
            try:
                made = self._made[written] = self._as_one(schema)
            except _LeadsNowhere:
                del self._names[written]
                raise
            if self._names[written] is None:
                return made
        # It contains itself or was there before: so it has a name, or schemas grow without bounds.
        name = self._names[written] = self._names[written] or next(self._free)
        if written in self._made:
            self.definitions[name] = self._made[written]
        return {"$ref": f"#/$defs/{name}"}

    def _as_one(self, schema: Node) -> object:
        pieces, choices = self._split(schema, (), set(), whole=True)
        others = self._below(_OTHERS, schema.get(_OTHERS))
        made = self._one_of_each(pieces, choices, others, MOST_FORMS)
        names = {key: self._below(key, schema[key]) for key in _NAMES if key in schema}
        return {**made, **names} if isinstance(made, dict) else made

    def _split(
        self, schema: object, trail: tuple[str, ...], seen: set[str], *, whole: bool = False
    ) -> tuple[list[object], list[_Choice]]:
        """The pieces that all hold, and the choices to be made beside them.

        `trail` are the references that led here, `seen` all whose pieces are there already.
        """
        if isinstance(schema, dict) and _OTHERS in schema and not whole:
            schema = self.closed(schema)  # it minds its own keys alone
        if not isinstance(schema, dict):
            return [schema], []
        split = []
        if "$ref" in schema:
            ref = str(schema["$ref"])
            target = self.definitions.get(ref.removeprefix("#/$defs/"))
            target = followed({"$ref": ref}, self._root) if target is None else target
            if target is None or ref in trail:
                raise _LeadsNowhere
            if ref not in seen:
                seen.add(ref)
                split.append(self._split(target, (*trail, ref), seen))
        split += [self._split(part, trail, seen) for part in _listed(schema.get("allOf"))]
        apart = ("$ref", *LISTS[:3], _OTHERS, *_NAMES)
        own = {key: value for key, value in schema.items() if key not in apart}
        choices: list[_Choice] = [
            (key, _listed(schema[key]), trail) for key in _CHOICES if key in schema
        ]
        split.append(([own], choices))
        pieces = [one for several, _ in split for one in several]
        return pieces, [one for _, several in split for one in several]

    def _one_of_each(
        self, pieces: list[object], choices: Sequence[_Choice], others: object, room: int
    ) -> object:
        """The pieces as one object for each way to choose."""
        if not choices:
            return self._merged(pieces, others)
        (key, branches, trail), *rest = choices
        if len(branches) > room:
            raise RequestError(
                f"The choices (anyOf, oneOf) of a schema stand beside each other and combine to "
                f"more than {MOST_FORMS} objects, which is the limit; write fewer of them side by "
                "side, or one choice of whole objects."
            )
        made = []
        for branch in branches:
            more, inner = self._split(branch, trail, set())
            each = [*inner, *rest]
            made.append(
                self._one_of_each([*pieces, *more], each, others, room // max(1, len(branches)))
            )
        return {key: made}

    def _merged(self, pieces: Sequence[object], others: object) -> object:
        """One object that is all of the pieces."""
        if any(piece is False for piece in pieces):
            return False
        parts = [piece for piece in pieces if isinstance(piece, dict) and piece]
        made, beside = _the_rest(parts)
        for key in _LISTED:
            names = dict.fromkeys(name for part in parts for name in _mapping(part.get(key)))
            each = {name: [_said_of(part, key, name) for part in parts] for name in names}
            if each:
                made[key] = {name: self.closed(_all_of(said)) for name, said in each.items()}
        required = dict.fromkeys(name for part in parts for name in _listed(part.get("required")))
        if required:
            made["required"] = list(required)
        given = [part["additionalProperties"] for part in parts if "additionalProperties" in part]
        if given:
            made["additionalProperties"] = self.closed(_all_of(given))
        _close(made, others)
        if beside:
            made["allOf"] = [self.closed(part, shared=True) for part in beside]
        _name_what_is_open(made)
        return made


def _close(node: Node, others: object) -> None:
    """Let an object have the listed keys alone, or as `others` (unless None) are described."""
    if "additionalProperties" in node:
        return
    if others is not None:
        node["additionalProperties"] = others
    elif any(key in node for key in _LISTED):
        node["additionalProperties"] = False
        # What is required is one of the keys, and nothing was said of its value.
        known, patterns = _mapping(node.get("properties")), node.get("patternProperties")
        required = [name for name in _listed(node.get("required")) if isinstance(name, str)]
        more = [name for name in required if name not in known and not _matches(patterns, name)]
        if more:
            node["properties"] = {**known, **dict.fromkeys(more, True)}


def _the_rest(parts: Iterable[Node]) -> tuple[Node, list[Node]]:
    """What the pieces of an object say beside its keys: their type, and all else as parts."""
    made: Node = {}
    beside: list[Node] = []
    for part in parts:
        rest = {key: value for key, value in part.items() if key not in _KEYS}
        if rest.keys() <= {"type"} and rest.get("type", 0) == made.get("type", rest.get("type", 0)):
            made |= rest
        elif not says_nothing(rest):
            beside.append(rest)
    return made, beside


def _said_of(part: Node, key: str, name: str) -> object:
    """What a piece says of a key, or of the keys of a pattern."""
    if name in (known := _mapping(part.get(key))):
        return known[name]
    if key == "properties" and _matches(part.get("patternProperties"), name):
        return True  # the pattern itself holds still
    return part.get("additionalProperties", True)


def _matches(patterns: object, name: str) -> bool:
    try:
        return any(re.search(pattern, name) for pattern in _mapping(patterns))
    except re.error:  # llguidance will say what is wrong with it
        return False


def _all_of(schemas: Iterable[object]) -> object:
    said = [one for one in schemas if not says_nothing(one)]
    if any(one is False for one in said):
        return False
    return {"allOf": said} if len(said) > 1 else (said or [True])[0]


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _name_what_is_open(node: Node) -> None:
    """Spell out "any value" where a schema says nothing."""
    for key in _LISTED:
        if isinstance(inner := node.get(key), dict):
            inner.update({name: ANY for name, one in inner.items() if says_nothing(one)})
    for key in LISTS:
        if isinstance(several := node.get(key), list):
            node[key] = [ANY if says_nothing(one) else one for one in several]
    kind = node.get("type")
    if kind == "object" and "additionalProperties" not in node and "$ref" not in node:
        node["additionalProperties"] = True
    if kind == "array":
        node.setdefault("items", True)
    for key in ("items", "additionalProperties"):
        if key in node and says_nothing(node[key]):
            node[key] = ANY
