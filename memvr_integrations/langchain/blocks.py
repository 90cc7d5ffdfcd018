"""LangChain's content blocks: making one from a picture, and bringing pictures into messages."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage

from memvr_integrations.types import Image, Text
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.wire.parts import Part, own_png, parts_of, png_of, unwrapped

if TYPE_CHECKING:
    from langchain_core.messages import ImageContentBlock

    from memvr_integrations.backend.images import ImageSource


def image_block(source: "ImageSource") -> "ImageContentBlock":
    """A content block that holds a picture, for `HumanMessage(content=[...])`.

    `source` is a path (also as a string: here it is you who names the file), a data URL,
    encoded bytes, a Pillow image or a numpy array. The pixels travel in the block as PNG,
    so a cache sees them.

    Raises:
        ImageError: The picture can't be used.
    """
    return _as_block(own_png(source))


def _as_block(png: bytes) -> "ImageContentBlock":
    return {
        "type": "image",
        "base64": base64.b64encode(png).decode(),
        "mime_type": "image/png",
    }


def inlined(messages: Sequence[BaseMessage], policy: ImagePolicy) -> list[BaseMessage]:
    """The messages with downloaded and local pictures inside them, so that a cache sees pixels."""
    return [
        message.model_copy(
            update={"content": [new for one in message.content for new in _inlined(one, policy)]}
        )
        if refers([message])
        else message
        for message in messages
    ]


def refers(messages: Sequence[BaseMessage]) -> bool:
    """Whether any picture is elsewhere: on a server, or in a file."""
    return any(_elsewhere(part) for message in messages for part in parts_of(message.content))


def _elsewhere(part: Part) -> bool:
    source = part.source if isinstance(part, Image) else None
    begins = source.lstrip()[:6].lower() if isinstance(source, str) else ""
    return begins.startswith(("http:", "https:", "file:"))


def _inlined(block: str | dict[str, object], policy: ImagePolicy) -> list[str | dict[str, object]]:
    parts = list(parts_of(block))
    if isinstance(block, str) or not any(map(_elsewhere, parts)):
        return [block]
    found: list[str | dict[str, object]] = [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else dict(_as_block(png_of(part.source, policy)))
        for part in parts
    ]
    inner = unwrapped(block)
    if inner.get("type") == "tool_result":  # which has to name its call
        return [{"type": "tool_result", "tool_use_id": inner.get("tool_use_id"), "content": found}]
    return found
