"""LlamaIndex's chat messages as the backend's."""

import json
from collections.abc import Iterator, Mapping, Sequence

from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.blocks import ImageDocument, parts_of, pictures_of
from memvr_integrations.types import Message, Role, Text
from memvr_integrations.types.tools import ToolCall

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}


def to_messages(
    messages: Sequence[ChatMessage], documents: Sequence[ImageDocument] = ()
) -> tuple[Message, ...]:
    """Translate a conversation; `documents` are shown before the last user message's text.

    Raises:
        RequestError: A message, a block or a call in it can't be used.
        ImageError: A block or document that should hold a picture holds none.
    """
    _check(messages)
    names: dict[str, str] = {}  # of tools, by the id of their call
    translated: list[Message] = []
    for message in messages:
        calls = list(_calls(message))
        names |= {call.id: call.name for call in calls}
        role = _ROLES[message.role.value]
        said = message.additional_kwargs.get("name")
        name = said or names.get(str(message.additional_kwargs.get("tool_call_id")))
        translated.append(
            Message(role, list(parts_of(message.blocks)), name=name, tool_calls=calls)
        )
    return _with_pictures(translated, documents) if documents else tuple(translated)


def question(prompt: str, documents: Sequence[ImageDocument]) -> tuple[Message, ...]:
    """A completion's prompt as a conversation: the pictures, then the text.

    Raises:
        RequestError: The prompt is no text.
    """
    if not isinstance(prompt, str):
        raise RequestError(f"The prompt is a {type(prompt).__name__}; give a text.")
    return (Message("user", [*pictures_of(documents), Text(prompt)]),)


def _check(messages: Sequence[ChatMessage]) -> None:
    if isinstance(messages, str | ChatMessage) or not isinstance(messages, Sequence):
        raise RequestError(
            f"messages is a {type(messages).__name__}; give a list: "
            "[ChatMessage(role='user', content=...)]."
        )
    for message in messages:
        if not isinstance(message, ChatMessage):
            raise RequestError(
                f"messages holds a {type(message).__name__}; give ChatMessage(role=..., "
                "content=...)."
            )


def _with_pictures(
    messages: list[Message], documents: Sequence[ImageDocument]
) -> tuple[Message, ...]:
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user":
            content = [*pictures_of(documents), *messages[at].content]
            messages[at] = Message("user", content, name=messages[at].name)
            return tuple(messages)
    raise RequestError("image_documents needs a user message that they belong to.")


def _calls(message: ChatMessage) -> Iterator[ToolCall]:
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    for at, block in enumerate(blocks):
        yield ToolCall(
            id=block.tool_call_id or f"call_{at}",
            name=block.tool_name,
            arguments=_written(block.tool_name, block.tool_kwargs),
        )
    # Histories made before there were such blocks hold calls in OpenAI's form only.
    older = message.additional_kwargs.get("tool_calls") if not blocks else None
    for at, call in enumerate(older or []):
        function = _member(call, "function")
        name = str(_member(function, "name"))
        yield ToolCall(
            id=str(_member(call, "id") or f"call_{at}"),
            name=name,
            arguments=_written(name, _member(function, "arguments")),
        )


def _member(value: object, name: str) -> object:
    """A key of a dict or an attribute of an object: histories hold either."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _written(name: str, arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    try:
        return json.dumps(arguments or {})
    except (TypeError, ValueError) as problem:
        raise RequestError(
            f"The arguments of the call {name!r} can't be written as JSON: {problem}. "
            "Give them as texts, numbers, booleans, lists and dicts."
        ) from problem
