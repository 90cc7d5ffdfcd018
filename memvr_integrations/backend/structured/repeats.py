"""Keeps an array's values and an object's keys different while they are being written."""

import copy
import json
from dataclasses import dataclass, replace
from typing import Self

from memvr_integrations.backend.structured.schema_parts import EVERYWHERE

_QUOTE, _ESCAPE = ord('"'), ord("\\")


@dataclass(frozen=True)
class _Open:
    """An array or object that is not closed yet.

    `key` is the property that an array belongs to, None for an object; `begins` is where an
    array's last item does; `seen` are the items before that, or an object's keys.
    """

    key: str | None
    begins: int = 0
    seen: frozenset[str] = frozenset()


class Repeats:
    """Reads growing JSON, and notices a key that an object has already, or an array's value.

    Of arrays only those below the properties `keys` count, or all with `EVERYWHERE`.
    """

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = keys
        self._text = bytearray()
        self._open: list[_Open] = []
        self._quoted = self._escaped = self._key_comes = False
        self._string = (0, 0)  # where the last one is
        self._key = ""

    def copy(self) -> Self:
        """One that reads on by itself."""
        twin = copy.copy(self)
        twin._text = self._text[:]
        twin._open = self._open[:]
        return twin

    def read(self, piece: bytes) -> bool:
        """Take more text; whether nothing was there before, as far as that can be known."""
        try:
            return self._read(piece)
        except (ValueError, RecursionError):  # a number of thousands of digits, endless brackets
            return False

    def _read(self, piece: bytes) -> bool:
        for byte in piece:
            at = len(self._text)
            self._text.append(byte)
            if self._quoted:
                if not self._in_string(byte, at):
                    return False
            elif byte == _QUOTE:
                self._quoted, self._string = True, (at, at)
            elif not self._outside(chr(byte), at):
                return False
        return True

    def _in_string(self, byte: int, at: int) -> bool:
        if self._escaped:
            self._escaped = False
        elif byte == _ESCAPE:
            self._escaped = True
        elif byte == _QUOTE:
            self._quoted, self._string = False, (self._string[0], at + 1)
            return self._text_is_new()
        return True

    def _text_is_new(self) -> bool:
        """Whether the string that ended just now can stand; after it there is no way round."""
        inside = self._open[-1] if self._open else None
        if inside is None or (inside.key is None and not self._key_comes):
            return True
        start, end = self._string
        if inside.key is None:
            return json.loads(self._text[start:end]) not in inside.seen
        whole = not self._text[inside.begins : start].strip()
        return (
            not whole
            or not self._counts(inside)
            or _canonical(self._text[start:end]) not in inside.seen
        )

    def _counts(self, array: _Open) -> bool:
        return not self._keys.isdisjoint((str(array.key), EVERYWHERE))

    def _outside(self, char: str, at: int) -> bool:
        inside = self._open[-1] if self._open else None
        if char in "{,:":
            self._key_comes = char != ":"
        if char == ":" and inside:
            start, end = self._string
            self._key = json.loads(self._text[start:end])
            return self._is_new(inside, self._key)
        if char == "{":
            self._open.append(_Open(None))
        elif char == "[":
            # An array in an array belongs to the same property.
            key = inside.key if inside and inside.key is not None else self._key
            self._open.append(_Open(key, at + 1))
        elif char in ",]" and inside and inside.key is not None:
            return self._item_ends(inside, char, at)
        elif char == "}" and inside:
            self._open.pop()
        return True

    def _item_ends(self, array: _Open, char: str, at: int) -> bool:
        value = bytes(self._text[array.begins :]).removesuffix(char.encode()).strip()
        if value and self._counts(array) and not self._is_new(array, _canonical(value)):
            return False
        if char == "]":
            self._open.pop()
        else:
            self._open[-1] = replace(self._open[-1], begins=at + 1)
        return True

    def _is_new(self, inside: _Open, value: str) -> bool:
        if value in inside.seen:
            return False
        self._open[-1] = replace(inside, seen=inside.seen | {value})
        return True


def _canonical(value: bytes | bytearray) -> str:
    return json.dumps(_alike(json.loads(value)), sort_keys=True)


def _alike(value: object) -> object:
    """A form in which 1 and 1.0 are the same, as they are in a JSON schema."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_alike(one) for one in value]
    if isinstance(value, dict):
        return {key: _alike(one) for key, one in value.items()}
    return value
