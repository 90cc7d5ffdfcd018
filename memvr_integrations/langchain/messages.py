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
from memvr_integrations.langchain.blocks import parts_of, unwrapped
from memvr_integrations.types import Message, Role, Text
from memvr_integrations.types.tools import ToolCall

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

    A call that could not be parsed keeps its arguments as the model wrote them.

    Raises:
        RequestError: A message, a block or a call in it can't be used.
        ImageError: A block that should hold a picture holds none.
    """
    names: dict[str, str] = {}  # of tools, by the id of their call
    translated: list[Message] = []
    for message in messages:
        if isinstance(message, AIMessage):
            names |= {call.id: call.name for call in _calls(message)}
        translated += _translated(message, names)
    return tuple(translated)


def _translated(message: BaseMessage, names: Mapping[str, str]) -> Iterator[Message]:
    role = _role(message)
    if message.additional_kwargs.get("audio"):  # where OpenAI's models put what they said
        raise RequestError(
            "A message holds audio in additional_kwargs; ChatMemVR reads text and images. Put its "
            "transcript into the content, and leave the audio out."
        )
    if role == "tool":
        name = message.name or names.get(getattr(message, "tool_call_id", ""))
        parts = list(parts_of(message.content))
        if isinstance(message, ToolMessage) and message.status == "error":
            parts.insert(0, Text("error:"))
        yield Message("tool", parts, name=name)
        return
    calls = list(_calls(message)) if isinstance(message, AIMessage) else []
    results, others = _split_results(message.content)
    for result in results:  # Anthropic tells results in a user's message
        name = names.get(str(result.get("tool_use_id")))
        yield Message("tool", list(parts_of(result)), name=name)
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


def _calls(message: AIMessage) -> Iterator[ToolCall]:
    for call in message.tool_calls:
        try:
            arguments = json.dumps(call["args"])
        except (TypeError, ValueError) as problem:
            raise RequestError(
                f"The arguments of the call {call['name']!r} can't be written as JSON: {problem}. "
                "Give them as texts, numbers, booleans, lists and dicts."
            ) from problem
        yield ToolCall(id=str(call["id"]), name=call["name"], arguments=arguments)
    for broken in message.invalid_tool_calls:
        yield ToolCall(
            id=str(broken["id"]), name=broken["name"] or "", arguments=broken["args"] or ""
        )


def _split_results(
    content: str | Sequence[str | Mapping[str, object]],
) -> tuple[list[Mapping[str, object]], list[str | Mapping[str, object]]]:
    results: list[Mapping[str, object]] = []
    others: list[str | Mapping[str, object]] = []
    for block in [content] if isinstance(content, str) else content:
        inner = unwrapped(block) if isinstance(block, Mapping) else {}
        if inner.get("type") == "tool_result":
            results.append(inner)
        else:
            others.append(block)
    return results, others
