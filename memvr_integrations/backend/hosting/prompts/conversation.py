"""Messages in the three roles that every chat template knows: tools become text."""

import json
from collections.abc import Sequence
from typing import Protocol

from memvr_integrations.backend.structured.grammar import CALL_BEGIN, CALL_END, CALL_MIDDLE
from memvr_integrations.backend.structured.tool_calls import written
from memvr_integrations.types import Image, Message, Request, Text
from memvr_integrations.types.tools import ANSWER_IN_JSON, JsonSchema, Tool, ToolCall

_TOOLS = "You can call these tools, each given by the JSON schema of its arguments:"
_HOW = f'To call one, answer with {CALL_BEGIN}"its name"{CALL_MIDDLE}{{...}}{CALL_END}.'


class Guard(Protocol):
    """What a text of others goes through before it is put between words of ours."""

    def __call__(self, text: str, *, by_model: bool = False) -> str:
        """The text; `by_model` where it is an earlier answer."""


def as_it_is(text: str, *, by_model: bool = False) -> str:
    """The guard that lets all texts through."""
    return text


def plain_messages(request: Request, guard: Guard = as_it_is) -> list[Message]:
    """The request's messages without tools and names, neighbours in one role as one message.

    Tools are listed in the system message, a schema at the end of the last user message; a tool's
    result, pictures included, is said by the user. All that is not ours goes through the guard.
    """
    messages = [_plain(message, guard) for message in request.messages]
    if request.callable_tools:
        lines = [_TOOLS]
        lines += [guard(shown_tool(tool)) for tool in request.callable_tools]
        messages.insert(0, Message("system", "\n".join([*lines, _HOW])))
    if request.response_format is not None:
        schema = guard(shown_schema(request.response_format))
        messages.append(Message("user", f"{ANSWER_IN_JSON} {schema}"))
    return merged(messages)


def shown_tool(tool: Tool) -> str:
    """A tool as a prompt lists it."""
    shown = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps(shown, ensure_ascii=False)


def shown_schema(schema: JsonSchema) -> str:
    """An answer's schema as a prompt shows it."""
    return json.dumps(dict(schema), ensure_ascii=False)


def without_system(messages: Sequence[Message]) -> list[Message]:
    """System messages said by the user instead, for templates that know no system role."""
    return merged(
        [
            Message("user", message.content) if message.role == "system" else message
            for message in messages
        ]
    )


def merged(messages: Sequence[Message]) -> list[Message]:
    """Neighbours in one role as one message."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            joined[-1] = Message(message.role, [*joined[-1].content, *message.content])
        else:
            joined.append(message)
    return joined


def _plain(message: Message, guard: Guard) -> Message:
    by_model = message.role == "assistant"
    parts: list[Text | Image | str] = [
        guard(part.text, by_model=by_model) if isinstance(part, Text) else part
        for part in message.content
    ]
    if message.role == "tool":
        name = f' name="{guard(message.name)}"' if message.name else ""
        return Message("user", [f"<tool_response{name}>", *parts, "</tool_response>"])
    if message.tool_calls:
        guarded = [
            ToolCall(id=call.id, name=guard(call.name), arguments=guard(call.arguments))
            for call in message.tool_calls
        ]
        parts.append(written(tuple(guarded)))
    if message.name and message.role == "user":
        parts.insert(0, guard(f"{message.name}:"))
    # Never without a part: templates look at the first one.
    return Message(message.role, parts or [""])
