"""Reads tool calls out of an answer while it is written."""

import json
import uuid

from memvr_integrations.backend.structured.grammar import CALL_BEGIN, CALL_END, CALL_MIDDLE
from memvr_integrations.types.tools import ToolCall, ToolCallDelta


class CallReader:
    """Takes an answer's text piece by piece and gives out the calls in it.

    The text must keep to the grammar of calls, which it does when it was decoded under it.
    """

    def __init__(self) -> None:
        self._text = ""  # what was not yet understood
        self._open: ToolCall | None = None
        self._scan = _ObjectEnd()
        self._done: list[ToolCall] = []

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls that are complete."""
        return tuple(self._done)

    def read(self, piece: str) -> list[ToolCallDelta]:
        """Take more text; returns what is new."""
        self._text += piece
        deltas: list[ToolCallDelta] = []
        while (delta := self._next()) is not None:
            deltas.append(delta)
        return deltas

    def _next(self) -> ToolCallDelta | None:
        if self._open is None:
            return self._begin()
        if not self._text:
            return None
        size, ended = self._scan.read(self._text)
        piece, self._text = self._text[:size], self._text[size:]
        call = self._open
        self._open = ToolCall(id=call.id, name=call.name, arguments=call.arguments + piece)
        delta = ToolCallDelta(index=len(self._done), arguments=piece)
        if ended:
            self._done.append(self._open)
            self._open, self._scan = None, _ObjectEnd()
        return delta

    def _begin(self) -> ToolCallDelta | None:
        at = self._text.find(CALL_BEGIN)
        middle = self._text.find(CALL_MIDDLE, at + len(CALL_BEGIN))
        if at < 0 or middle < 0:
            return None
        name: str = json.loads(self._text[at + len(CALL_BEGIN) : middle])
        self._text = self._text[middle + len(CALL_MIDDLE) :]
        self._open = ToolCall(id=f"call_{uuid.uuid4().hex[:24]}", name=name, arguments="")
        return ToolCallDelta(index=len(self._done), id=self._open.id, name=name)


class _ObjectEnd:
    """Finds where a JSON object ends, across pieces; strings may hold brackets."""

    def __init__(self) -> None:
        self._depth, self._quoted, self._escaped = 0, False, False

    def read(self, text: str) -> tuple[int, bool]:
        """How many characters belong to the object, and whether it is complete."""
        for at, char in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._quoted and char == "\\":
                self._escaped = True
            elif char == '"':
                self._quoted = not self._quoted
            elif not self._quoted and char in "{}":
                self._depth += 1 if char == "{" else -1
                if self._depth == 0:
                    return at + 1, True
        return len(text), False


def written(calls: tuple[ToolCall, ...]) -> str:
    """Calls as the model would have written them."""
    return "".join(
        CALL_BEGIN + json.dumps(call.name) + CALL_MIDDLE + call.arguments + CALL_END
        for call in calls
    )
