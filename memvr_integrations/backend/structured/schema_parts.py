"""The schemas inside a JSON schema, and what they say together."""

from collections.abc import Iterable, Iterator, Mapping

MANY = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
OTHERS = ("additionalProperties", "unevaluatedProperties")
ONES = ("items", *OTHERS, "not", "if", "then", "else", "contains")
EVERYWHERE = ""  # the name of a property that nobody gives


def nodes(schema: object) -> Iterable[dict[str, object]]:
    """Every schema inside a schema; data such as constants and enums are not walked."""
    if not isinstance(schema, dict):
        return
    yield schema
    inner: list[object] = []
    for key in MANY:
        if isinstance(schema.get(key), dict):
            inner += schema[key].values()
    for key in LISTS:
        if isinstance(schema.get(key), list):
            inner += schema[key]
    inner += [schema[key] for key in ONES if key in schema]
    for one in inner:
        yield from nodes(one)


def unique_keys(schema: object) -> frozenset[str]:
    """The properties below which an array's values must differ; `EVERYWHERE` where none is named.

    It may name too many: an array that keeps its values different is valid either way.
    """
    found = frozenset(_unique_keys(schema, EVERYWHERE))
    refs = [str(node.get("$ref", "#/$defs/")) for node in nodes(schema)]
    # What is referred to elsewhere than in the definitions has two names.
    named = all(ref.startswith(("#/$defs/", "#/definitions/")) for ref in refs)
    return found if named or not found else frozenset([EVERYWHERE])


def _unique_keys(schema: object, key: str) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    if schema.get("uniqueItems") is True:
        yield key
    for name, inner in schema.items():
        if name == "properties" and isinstance(inner, Mapping):
            for one, value in inner.items():
                yield from _unique_keys(value, str(one))
        elif name in MANY and isinstance(inner, Mapping):
            for value in inner.values():
                yield from _unique_keys(value, EVERYWHERE)
        elif name in (*LISTS, *ONES):
            below = EVERYWHERE if name in OTHERS else key
            for value in inner if isinstance(inner, list) else [inner]:
                yield from _unique_keys(value, below)


def has_free_keys(schema: object) -> bool:
    """Whether a model may choose keys anywhere, and so might choose one twice."""
    return any(
        node.get("additionalProperties", False) is not False or "patternProperties" in node
        for node in nodes(schema)
    )


def constants(schema: object) -> set[str]:
    """The texts that a schema spells out: constants, what they hold, and keys."""
    found = set[str]()
    for node in nodes(schema):
        listed = node.get("properties")
        found.update(listed if isinstance(listed, dict) else ())
        found.update(_texts([node.get("const"), node.get("enum")]))
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value if isinstance(value, list) else [*value, *value.values()]:
            yield from _texts(inner)


def patterns(schema: object) -> list[str]:
    """Every pattern in a schema."""
    found = [node["pattern"] for node in nodes(schema) if "pattern" in node]
    for node in nodes(schema):
        keys = node.get("patternProperties")
        found += keys if isinstance(keys, dict) else ()
    return [str(pattern) for pattern in found]
