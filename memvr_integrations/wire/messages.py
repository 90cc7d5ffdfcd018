"""Conversations: roles, tool calls, and the results that belong to them.

The frameworks have messages of their own, so `to_messages` is for the server, which is to come.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from memvr_integrations.checks import check_list
from memvr_integrations.errors import RequestError, picture_named
from memvr_integrations.types import Image, Message, Role, ToolCall
from memvr_integrations.wire.parts import Part, parts_of

_ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
_MESSAGES = "dicts in a list: [{'role': 'user', 'content': ...}]"
_CALLS = "[{'id': ..., 'function': {'name': ..., 'arguments': '{...}'}}]"


def role_of(word: object) -> Role:
    """The role that a word of any provider means."""
    role = _ROLES.get(word.lower()) if isinstance(word, str) else None
    if role is None:
        raise RequestError(
            f"A message of role={word!r} has no place in a prompt; use the roles "
            f"{', '.join(_ROLES)}."
        )
    return role


def tool_call(id: object, name: str, arguments: object) -> ToolCall:
    """A call; arguments that are text stay as the model wrote them."""
    if isinstance(arguments, str):
        return ToolCall(id=str(id), name=name, arguments=arguments)
    if not (arguments is None or isinstance(arguments, Mapping)):
        raise RequestError(
            f"The arguments of the call {name!r} are {arguments!r}; give a dict, or the text of a "
            "JSON object."
        )
    try:
        return ToolCall(id=str(id), name=name, arguments=json.dumps(arguments or {}))
    except (TypeError, ValueError) as problem:
        raise RequestError(
            f"The arguments of the call {name!r} can't be written as JSON: {problem}. "
            "Give them as texts, numbers, booleans, lists and dicts."
        ) from problem


def calls_of(forms: object) -> list[ToolCall]:
    """Calls in OpenAI's form, as dicts or as objects with such attributes; None are none."""
    if forms is None:
        return []
    calls = []
    for at, form in enumerate(check_list("tool_calls", forms, _CALLS)):
        function = _member(form, "function")
        name = _member(function, "name")
        if not isinstance(name, str) or not name:
            raise RequestError(f"tool_calls holds {form!r}, which has no name; give {_CALLS}.")
        calls.append(
            tool_call(_member(form, "id") or f"call_{at}", name, _member(function, "arguments"))
        )
    return calls


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


class Conversation:
    """Messages in their order; a result gets the name of the tool that was called."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # of tools, by the id of their call
        self.messages: tuple[Message, ...] = ()

    def add(
        self,
        role: Role,
        content: Iterable[Part],
        *,
        name: str | None = None,
        calls: Sequence[ToolCall] = (),
        call_id: object = None,
    ) -> None:
        """Add a message; `call_id` is the call whose result it is."""
        self._names |= {call.id: call.name for call in calls}
        known = name or self._names.get(str(call_id))
        parts = list(self._placed(content, role))
        self.messages += (Message(role, parts, name=known, tool_calls=calls),)

    def _placed(self, content: Iterable[Part], role: Role) -> Iterator[Part]:
        """The parts of the next message; the error of a picture says which one it is."""
        parts, seen = iter(content), 0
        while True:
            with picture_named(len(self.messages) + 1, role, seen + 1):
                part = next(parts, None)
            if part is None:
                return
            seen += isinstance(part, Image)
            yield part


def to_messages(forms: object) -> tuple[Message, ...]:
    """Translate a conversation of OpenAI's messages: a list of dicts, as strangers send them."""
    try:
        return _conversation(forms)
    except RecursionError:
        raise RequestError(
            "messages holds blocks in blocks, too deep to read; give texts and pictures as blocks "
            "of the message itself."
        ) from None


def _conversation(forms: object) -> tuple[Message, ...]:
    said = Conversation()
    for form in check_list("messages", forms, _MESSAGES):
        if not isinstance(form, Mapping):
            raise RequestError(f"messages holds {form!r}; give {_MESSAGES}.")
        content, name = form.get("content"), form.get("name")
        if not (name is None or isinstance(name, str)):
            raise RequestError(f"A message has name={name!r}; give a text, or leave it out.")
        said.add(
            role_of(form.get("role")),
            () if content is None or content == "" else parts_of(content),
            name=name,
            calls=calls_of(form.get("tool_calls")),
            call_id=form.get("tool_call_id"),
        )
    return said.messages
