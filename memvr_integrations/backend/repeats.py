"""Keeps the values of an array different while the array is being written."""

import copy
import json
from typing import Self

from memvr_integrations.backend.schemas import EVERYWHERE

_QUOTE, _ESCAPE = ord('"'), ord("\\")


class Repeats:
    """Reads growing JSON, and notices when an array holds a value twice.

    Only arrays below the properties `keys` count, or all with `EVERYWHERE`.
    """

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = keys
        self._text = bytearray()
        self._open: list[_Array | None] = []  # None for an object
        self._quoted = self._escaped = False
        self._string = (0, 0)  # where the last one is
        self._key = ""

    def copy(self) -> Self:
        """One that reads on by itself."""
        twin = copy.copy(self)
        twin._text = self._text[:]
        twin._open = self._open[:]
        return twin

    def read(self, piece: bytes) -> bool:
        """Take more text; whether all values still differ."""
        for byte in piece:
            at = len(self._text)
            self._text.append(byte)
            if self._quoted:
                self._in_string(byte, at)
            elif byte == _QUOTE:
                self._quoted, self._string = True, (at, at)
            elif not self._outside(chr(byte), at):
                return False
        return True

    def _in_string(self, byte: int, at: int) -> None:
        if self._escaped:
            self._escaped = False
        elif byte == _ESCAPE:
            self._escaped = True
        elif byte == _QUOTE:
            self._quoted, self._string = False, (self._string[0], at + 1)

    def _outside(self, char: str, at: int) -> bool:
        inside = self._open[-1] if self._open else None
        if char == ":":
            start, end = self._string
            self._key = json.loads(self._text[start:end])
        elif char == "{":
            self._open.append(None)
        elif char == "[":
            # An array in an array belongs to the same property.
            key = inside.key if inside else self._key
            self._open.append(_Array(key, at + 1, frozenset()))
        elif char in ",]" and inside is not None:
            return self._item_ends(inside, char, at)
        elif char == "}":
            self._open.pop()
        return True

    def _item_ends(self, array: "_Array", char: str, at: int) -> bool:
        value = bytes(self._text[array.item :]).removesuffix(char.encode()).strip()
        seen = array.seen
        if value and not self._keys.isdisjoint((array.key, EVERYWHERE)):
            told = json.dumps(_alike(json.loads(value)), sort_keys=True)
            if told in seen:
                return False
            seen |= {told}
        if char == "]":
            self._open.pop()
        else:
            self._open[-1] = _Array(array.key, at + 1, seen)
        return True


class _Array:
    """An open array: its property, where its last item begins, and the items before that."""

    def __init__(self, key: str, item: int, seen: frozenset[str]) -> None:
        self.key, self.item, self.seen = key, item, seen


def _alike(value: object) -> object:
    """A form in which 1 and 1.0 are the same, as they are in a JSON schema."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_alike(one) for one in value]
    if isinstance(value, dict):
        return {key: _alike(one) for key, one in value.items()}
    return value
