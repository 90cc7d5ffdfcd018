"""LangChain's content blocks: making one from a picture, and bringing pictures into messages."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage

from memvr_integrations.errors import MemVRError, picture_named
from memvr_integrations.langchain.messages import role_of_message
from memvr_integrations.types import Image, Text
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.wire.parts import Part, own_picture, parts_of, unwrapped

if TYPE_CHECKING:
    from langchain_core.messages import ImageContentBlock

    from memvr_integrations.backend.images import ImageSource


def image_block(source: "ImageSource") -> "ImageContentBlock":
    """A content block that holds a picture, for `HumanMessage(content=[...])`.

    `source` is a path (also as a string: here it is you who names the file), a data URL,
    encoded bytes, a Pillow image or a numpy array. An ordinary JPEG or PNG travels in the block as
    it is, any other picture as a PNG; so a cache sees it.

    Raises:
        ImageError: The picture can't be used.
    """
    return _as_block(*own_picture(source))


def _as_block(data: bytes, media: str) -> "ImageContentBlock":
    return {"type": "image", "base64": base64.b64encode(data).decode(), "mime_type": media}


def inlined(messages: Sequence[BaseMessage], policy: ImagePolicy) -> list[BaseMessage]:
    """The messages with downloaded and local pictures inside them, so that a cache sees pixels."""
    return [
        message.model_copy(update={"content": list(_inlined(message, number, policy))})
        if refers([message])
        else message
        for number, message in enumerate(messages, start=1)
    ]


def refers(messages: Sequence[BaseMessage]) -> bool:
    """Whether any picture is elsewhere: on a server, or in a file."""
    with suppress(MemVRError):  # of a block that can't be read: the translation says which one
        return any(_elsewhere(part) for message in messages for part in parts_of(message.content))
    return False


def _elsewhere(part: Part) -> bool:
    source = part.source if isinstance(part, Image) else None
    begins = source.lstrip()[:6].lower() if isinstance(source, str) else ""
    return begins.startswith(("http:", "https:", "file:"))


def _inlined(
    message: BaseMessage, number: int, policy: ImagePolicy
) -> Iterator[str | dict[str, object]]:
    # Not at the top: NumPy and Pillow come in with the first picture.
    from memvr_integrations.backend.images import encoded_image

    seen, role = 0, role_of_message(message)
    for block in message.content:
        with picture_named(number, role, seen + 1):
            parts = list(parts_of(block))
        if not any(map(_elsewhere, parts)):
            seen += sum(isinstance(part, Image) for part in parts)
            yield block
            continue
        found: list[str | dict[str, object]] = []
        for part in parts:
            if isinstance(part, Text):
                found.append({"type": "text", "text": part.text})
                continue
            seen += 1
            with picture_named(number, role, seen):
                found.append(dict(_as_block(*encoded_image(part.source, policy))))
        inner = {} if isinstance(block, str) else unwrapped(block)
        if inner.get("type") == "tool_result":  # which has to name its call
            yield {"type": "tool_result", "tool_use_id": inner.get("tool_use_id"), "content": found}
        else:
            yield from found
