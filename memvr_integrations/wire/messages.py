"""Conversations: roles, tool calls, and the results that belong to them."""

import json
from collections.abc import Iterable, Mapping, Sequence

from memvr_integrations.errors import RequestError
from memvr_integrations.types import Message, Role, ToolCall
from memvr_integrations.wire.parts import Content, Part, parts_of

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


def role_of(word: object) -> Role:
    """The role that a word of any provider means.

    Raises:
        RequestError: It has no place in a prompt.
    """
    role = _ROLES.get(word.lower()) if isinstance(word, str) else None
    if role is None:
        raise RequestError(
            f"A message of role={word!r} has no place in a prompt; use the roles "
            f"{', '.join(_ROLES)}."
        )
    return role


def tool_call(id: object, name: str, arguments: object) -> ToolCall:
    """A call; arguments that are text stay as the model wrote them.

    Raises:
        RequestError: The arguments can't be written as JSON.
    """
    if isinstance(arguments, str):
        return ToolCall(id=str(id), name=name, arguments=arguments)
    try:
        return ToolCall(id=str(id), name=name, arguments=json.dumps(arguments or {}))
    except (TypeError, ValueError) as problem:
        raise RequestError(
            f"The arguments of the call {name!r} can't be written as JSON: {problem}. "
            "Give them as texts, numbers, booleans, lists and dicts."
        ) from problem


def calls_of(forms: object) -> list[ToolCall]:
    """Calls in OpenAI's form, as dicts or as objects with such attributes."""
    calls = []
    for at, form in enumerate(forms if isinstance(forms, Sequence) else ()):
        function = _member(form, "function")
        calls.append(
            tool_call(
                _member(form, "id") or f"call_{at}",
                str(_member(function, "name")),
                _member(function, "arguments"),
            )
        )
    return calls


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


class Conversation:
    """Messages in their order; a result gets the name of the tool that was called."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # of tools, by the id of their call
        self._messages: list[Message] = []

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
        self._messages.append(Message(role, list(content), name=known, tool_calls=calls))

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was added so far."""
        return tuple(self._messages)


def to_messages(forms: Iterable[Mapping[str, object]]) -> tuple[Message, ...]:
    """Translate a conversation of OpenAI's messages.

    Raises:
        RequestError: A message, a part or a call in it can't be used.
        ImageError: A part that should hold a picture holds none.
    """
    said = Conversation()
    for form in forms:
        if not isinstance(form, Mapping):
            raise RequestError(
                f"messages holds {form!r}; give dicts: {{'role': 'user', 'content': ...}}."
            )
        content: Content = form.get("content") or ()  # type: ignore[assignment]  # parts_of checks
        said.add(
            role_of(form.get("role")),
            parts_of(content),
            name=form.get("name"),  # type: ignore[arg-type]
            calls=calls_of(form.get("tool_calls")),
            call_id=form.get("tool_call_id"),
        )
    return said.messages
