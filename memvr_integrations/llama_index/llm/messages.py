"""LlamaIndex's chat messages as the backend's."""

from collections.abc import Sequence

from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock

from memvr_integrations.checks import check_list
from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.blocks import ImageDocument, parts_of, pictures_of
from memvr_integrations.types import Message, Text, ToolCall
from memvr_integrations.wire.messages import Conversation, calls_of, role_of, tool_call


def to_messages(
    messages: Sequence[ChatMessage], documents: Sequence[ImageDocument] = ()
) -> tuple[Message, ...]:
    """Translate a conversation; `documents` are shown before the last user message's text."""
    said = Conversation()
    for message in check_list("messages", messages, "[ChatMessage(role='user', content=...)]"):
        if not isinstance(message, ChatMessage):
            raise RequestError(
                f"messages holds a {type(message).__name__}; give ChatMessage(role=..., "
                "content=...)."
            )
        more = message.additional_kwargs
        said.add(
            role_of(message.role.value),
            parts_of(message.blocks),
            name=more.get("name"),
            calls=_calls(message),
            call_id=more.get("tool_call_id"),
        )
    return _with_pictures(said.messages, documents) if documents else said.messages


def question(prompt: str, documents: Sequence[ImageDocument]) -> tuple[Message, ...]:
    """A completion's prompt as a conversation: the pictures, then the text."""
    if not isinstance(prompt, str):
        raise RequestError(f"The prompt is a {type(prompt).__name__}; give a text.")
    return (Message("user", [*pictures_of(documents), Text(prompt)]),)


def _with_pictures(
    messages: tuple[Message, ...], documents: Sequence[ImageDocument]
) -> tuple[Message, ...]:
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user":
            content = [*pictures_of(documents, at + 1), *messages[at].content]
            shown = Message("user", content, name=messages[at].name)
            return (*messages[:at], shown, *messages[at + 1 :])
    raise RequestError("image_documents needs a user message that they belong to.")


def _calls(message: ChatMessage) -> list[ToolCall]:
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if not blocks:  # histories made before there were such blocks hold calls in OpenAI's form
        return calls_of(message.additional_kwargs.get("tool_calls"))
    return [
        tool_call(block.tool_call_id or f"call_{at}", block.tool_name, block.tool_kwargs)
        for at, block in enumerate(blocks)
    ]
