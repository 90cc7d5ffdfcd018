"""LangChain's messages as the backend's."""

import json
from collections.abc import Iterator, Mapping, Sequence

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from memvr_integrations.errors import RequestError
from memvr_integrations.langchain.blocks import parts_of
from memvr_integrations.tools import ToolCall
from memvr_integrations.types import Message, Role, Text

_ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}


def to_messages(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """Translate a conversation; every text, picture, call and result of it is kept.

    Raises:
        RequestError: A message or a block in it can't be used.
        ImageError: A block that should hold a picture holds none.
    """
    names: dict[str, str] = {}  # of tools, by the id of their call
    translated: list[Message] = []
    for message in messages:
        if isinstance(message, AIMessage):
            names |= {str(call["id"]): call["name"] for call in message.tool_calls}
        translated += _translated(message, names)
    return tuple(translated)


def _translated(message: BaseMessage, names: Mapping[str, str]) -> Iterator[Message]:
    role = _role(message)
    if role == "tool":
        name = message.name or names.get(getattr(message, "tool_call_id", ""))
        parts = list(parts_of(message.content))
        if isinstance(message, ToolMessage) and message.status == "error":
            parts.insert(0, Text("error:"))
        yield Message("tool", parts, name=name)
        return
    calls = _calls(message) if isinstance(message, AIMessage) else []
    results, others = _split_results(message.content)
    for result in results:  # Anthropic tells results in a user's message
        content = result.get("content") or ""
        yield Message(
            "tool",
            list(parts_of(content)),  # type: ignore[arg-type]  # a string or blocks
            name=names.get(str(result.get("tool_use_id"))),
        )
    if others or calls or not results:
        yield Message(role, list(parts_of(others)), name=message.name, tool_calls=calls)


def _role(message: BaseMessage) -> Role:
    match message:
        case HumanMessage():
            return "user"
        case AIMessage():
            return "assistant"
        case SystemMessage():
            return "system"
        case ToolMessage() | FunctionMessage():
            return "tool"
        case ChatMessage() if message.role.lower() in _ROLES:
            return _ROLES[message.role.lower()]
    said = f"role={message.role!r}" if isinstance(message, ChatMessage) else message.type
    raise RequestError(
        f"A {type(message).__name__} ({said}) has no place in a prompt; use the roles "
        f"{', '.join(_ROLES)}."
    )


def _calls(message: AIMessage) -> list[ToolCall]:
    return [
        ToolCall(id=str(call["id"]), name=call["name"], arguments=json.dumps(call["args"]))
        for call in message.tool_calls
    ]


def _split_results(
    content: str | Sequence[str | Mapping[str, object]],
) -> tuple[list[Mapping[str, object]], list[str | Mapping[str, object]]]:
    results: list[Mapping[str, object]] = []
    others: list[str | Mapping[str, object]] = []
    for block in [content] if isinstance(content, str) else content:
        value = block.get("value", block) if isinstance(block, Mapping) else block
        if isinstance(value, Mapping) and value.get("type") == "tool_result":
            results.append(value)
        else:
            others.append(block)
    return results, others
