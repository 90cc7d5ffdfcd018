"""LangChain's messages as the backend's."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, ToolMessage

from memvr_integrations.errors import RequestError
from memvr_integrations.types import Message, Role, Text, ToolCall
from memvr_integrations.wire.messages import Conversation, role_of, tool_call
from memvr_integrations.wire.parts import parts_of, unwrapped


def to_messages(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """Translate a conversation; every text, picture, call and result of it is kept.

    A call that could not be parsed keeps its arguments as the model wrote them.
    """
    said = Conversation()
    for message in messages:
        _add(said, message)
    return said.messages


def _add(said: Conversation, message: BaseMessage) -> None:
    role = role_of_message(message)
    if message.additional_kwargs.get("audio"):  # where OpenAI's models put what they said
        raise RequestError(
            "A message holds audio in additional_kwargs; the model reads text and images. Put its "
            "transcript into the content, and leave the audio out."
        )
    if role == "tool":
        failed = isinstance(message, ToolMessage) and message.status == "error"
        parts = chain([Text("error:")] if failed else [], parts_of(message.content))
        call_id = getattr(message, "tool_call_id", None)
        said.add("tool", parts, name=message.name, call_id=call_id)
        return
    calls = list(_calls(message)) if isinstance(message, AIMessage) else []
    results, others = _split_results(message.content)
    for result in results:  # Anthropic has results in a user's message
        said.add("tool", parts_of(result), call_id=result.get("tool_use_id"))
    if others or calls or not results:
        said.add(role, parts_of(others), name=message.name, calls=calls)


def role_of_message(message: BaseMessage) -> Role:
    """Who says a message; RequestError for a role that no prompt has."""
    word = message.role if isinstance(message, ChatMessage) else message.type
    return role_of(word.removesuffix("MessageChunk"))


def _calls(message: AIMessage) -> Iterator[ToolCall]:
    for call in message.tool_calls:
        yield tool_call(call["id"], call["name"], call["args"])
    for broken in message.invalid_tool_calls:
        yield tool_call(broken["id"], broken["name"] or "", broken["args"] or "")


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
