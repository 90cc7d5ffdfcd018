"""Messages in the three roles that every chat template knows: tools become text."""

import json
from collections.abc import Sequence

from memvr_integrations.backend.structured.grammar import CALL_BEGIN, CALL_END, CALL_MIDDLE
from memvr_integrations.backend.structured.tool_calls import written
from memvr_integrations.types import Image, Message, Request, Text
from memvr_integrations.types.tools import ANSWER_IN_JSON

_TOOLS = "You can call these tools, each given by the JSON schema of its arguments:"
_HOW = f'To call one, answer with {CALL_BEGIN}"its name"{CALL_MIDDLE}{{...}}{CALL_END}.'


def plain_messages(request: Request) -> list[Message]:
    """The request's messages without tools and names, neighbours in one role as one message.

    Tools are listed in the system message, a schema at the end of the last user message; a tool's
    result, pictures included, is said by the user.
    """
    messages = [_plain(message) for message in request.messages]
    if request.callable_tools:
        lines = [_TOOLS]
        for tool in request.callable_tools:
            shown = {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }
            lines.append(json.dumps(shown, ensure_ascii=False))
        messages.insert(0, Message("system", "\n".join([*lines, _HOW])))
    if request.response_format is not None:
        schema = json.dumps(dict(request.response_format), ensure_ascii=False)
        messages.append(Message("user", f"{ANSWER_IN_JSON} {schema}"))
    return _merged(messages)


def without_system(messages: Sequence[Message]) -> list[Message]:
    """System messages said by the user instead, for templates that know no system role."""
    return _merged(
        [
            Message("user", message.content) if message.role == "system" else message
            for message in messages
        ]
    )


def _plain(message: Message) -> Message:
    parts: list[Text | Image | str] = list(message.content)
    if message.role == "tool":
        name = f' name="{message.name}"' if message.name else ""
        return Message("user", [f"<tool_response{name}>", *parts, "</tool_response>"])
    if message.tool_calls:
        parts.append(written(message.tool_calls))
    if message.name and message.role == "user":
        parts.insert(0, f"{message.name}:")
    return Message(message.role, parts)


def _merged(messages: Sequence[Message]) -> list[Message]:
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            merged[-1] = Message(message.role, [*merged[-1].content, *message.content])
        else:
            merged.append(message)
    return merged
