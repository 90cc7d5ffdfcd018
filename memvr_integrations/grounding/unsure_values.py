"""How unsure a model was of each value that it wrote into JSON, by the tokens that spell it."""

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from memvr_integrations.types import TokenRecord

Path: TypeAlias = tuple[str | int, ...]
"""The names and places that lead to a value."""

_BLANK = re.compile(r"\s*")
_PLAIN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,\]}]+')  # a text; a number, true, false or null
_COMBINED = ("anyOf", "oneOf")


@dataclass(frozen=True, kw_only=True)
class UnsureValue:
    """A text, number, boolean or null in JSON; `unsureness` is its tokens' highest (0 to 1)."""

    path: Path
    value: object
    unsureness: float

    @property
    def pointer(self) -> str:
        """Its place as a JSON pointer."""
        return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in self.path)


def unsure_values(text: str, tokens: Sequence[TokenRecord], start: int = 0) -> list[UnsureValue]:
    """The values of a JSON text which some tokens wrote, from their character `start` on.

    What the schema or the grammar decides (names, brackets) doesn't count, nor do tokens without a
    letter or a digit.
    """
    ends, at = [], 0
    for token in tokens:
        at += len(token.text)
        ends.append(at)
    found = []
    for path, begin, end in _values(text, 0, ()):
        own = [
            token.output_entropy or 0.0
            for token, last in zip(tokens, ends, strict=True)
            if begin < last - start
            and last - start - len(token.text) < end
            and any(map(str.isalnum, token.text))
        ]
        value = json.loads(text[begin:end])
        found.append(UnsureValue(path=path, value=value, unsureness=max(own, default=0.0)))
    return found


def _values(text: str, at: int, path: Path) -> Generator[tuple[Path, int, int], None, int]:
    """Where each value begins and ends; returns where the whole of them ends."""
    at = _blank(text, at)
    if text[at] not in "{[":
        end = _end(_PLAIN, text, at)
        yield path, at, end
        return end
    close, number = "}" if text[at] == "{" else "]", 0
    at = _blank(text, at + 1)
    while text[at] != close:
        step: str | int = number
        if close == "}":
            end = _end(_PLAIN, text, at)
            step, at = str(json.loads(text[at:end])), _blank(text, end) + 1
        at = _blank(text, (yield from _values(text, at, (*path, step))))
        at, number = _blank(text, at + (text[at] == ",")), number + 1
    return at + 1


def _blank(text: str, at: int) -> int:
    return _end(_BLANK, text, at)


def _end(what: re.Pattern[str], text: str, at: int) -> int:
    found = what.match(text, at)
    assert found is not None
    return found.end()


def without(data: object, paths: Sequence[Path]) -> object:
    """The same JSON data with null in some places."""
    if () in paths:
        return None
    if not isinstance(data, dict | list):
        return data
    steps: Iterator[tuple[str | int, object]] = (
        iter(data.items()) if isinstance(data, dict) else iter(enumerate(data))
    )
    changed = {
        step: without(inner, [path[1:] for path in paths if path[0] == step])
        for step, inner in steps
    }
    return changed if isinstance(data, dict) else list(changed.values())


def may_be_null(schema: object, path: Path) -> bool:
    """Whether a schema lets null stand in a place; not, where it isn't simple to say."""
    return any(_lets_null(one) for one in _below([schema], schema, path))


def _below(schemas: Sequence[object], root: object, path: Path) -> list[Mapping[str, object]]:
    """The schemas of a place, of which a value has to fit one."""
    waiting, found, met = list(schemas), list[Mapping[str, object]](), set[str]()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, Mapping):
            continue
        if isinstance(reference := one.get("$ref"), str):
            if reference not in met:
                met.add(reference)
                waiting.append(_referred(root, reference))
            continue
        either = [inner for name in _COMBINED for inner in _listed(one.get(name))]
        waiting += either
        found += [] if either or "allOf" in one else [one]
    if not path:
        return found
    return _below([_step(one, path[0]) for one in found], root, path[1:])


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) else ()


def _step(schema: Mapping[str, object], step: str | int) -> object:
    if isinstance(step, str):
        named = schema.get("properties")
        inner = named.get(step) if isinstance(named, Mapping) else None
        return schema.get("additionalProperties") if inner is None else inner
    first = schema.get("prefixItems")
    if isinstance(first, Sequence) and step < len(first):
        return first[step]
    return schema.get("items")


def _referred(root: object, reference: str) -> object:
    for key in reference.removeprefix("#").split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        root = root.get(name) if isinstance(root, Mapping) else None
    return root


def _lets_null(schema: Mapping[str, object]) -> bool:
    if "const" in schema:
        return schema["const"] is None
    if isinstance(listed := schema.get("enum"), Sequence):
        return None in listed
    kinds = schema.get("type")
    return kinds == "null" or (isinstance(kinds, Sequence) and "null" in kinds)
