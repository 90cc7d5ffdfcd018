"""Content blocks: making one from a picture, and reading every kind that holds one."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import ImageError, RequestError
from memvr_integrations.policy import ImagePolicy
from memvr_integrations.types import Image, Text

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image
    from langchain_core.messages import ImageContentBlock

Part = Text | Image

_TEXTS = ("text", "input_text", "output_text", "text-plain")
_IMAGES = ("image", "image_url", "input_image", "media", "file")
# What other models add to their messages for themselves, and calls that a message holds twice.
_PASSED_OVER = (
    "reasoning",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_call",
    "tool_call_chunk",
    "function_call",
    "invalid_tool_call",
)
_DATA = ("base64", "data", "url", "image_url", "file_data", "source", "file")


def image_block(
    source: "Path | str | bytes | PIL.Image.Image | np.ndarray",
) -> "ImageContentBlock":
    """A content block that holds a picture, for `HumanMessage(content=[...])`.

    `source` is a path (also as a string: here it is you who names the file), encoded bytes, a
    Pillow image or a numpy array. The pixels travel in the block as PNG, so a cache sees them.

    Raises:
        ImageError: The picture can't be used.
    """
    return _as_block(load_image(Path(source) if isinstance(source, str) else source))


def _as_block(image: "PIL.Image.Image") -> "ImageContentBlock":
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image", "base64": encoded, "mime_type": "image/png"}


def inlined(messages: Sequence[BaseMessage], policy: ImagePolicy) -> list[BaseMessage]:
    """The messages with downloaded and local pictures inside them, so that a cache sees pixels.

    Raises:
        ImageError: A picture can't be used, or the policy does not let it in.
    """
    return [
        message.model_copy(update={"content": [_inlined(one, policy) for one in message.content]})
        if isinstance(message.content, list) and any(map(_refers, message.content))
        else message
        for message in messages
    ]


def refers(messages: Sequence[BaseMessage]) -> bool:
    """Whether any picture is elsewhere: on a server, or in a file."""
    return any(
        isinstance(message.content, list) and any(map(_refers, message.content))
        for message in messages
    )


def _inlined(block: str | dict[str, object], policy: ImagePolicy) -> str | dict[str, object]:
    if isinstance(block, str) or not _refers(block):
        return block
    [part] = _part(block)
    assert isinstance(part, Image)
    return dict(_as_block(load_image(part.source, policy)))


def _refers(block: str | dict[str, object]) -> bool:
    if isinstance(block, str) or block.get("type") not in _IMAGES:
        return False
    source = _source(block, str(block["type"]))
    return isinstance(source, str) and source.lower().startswith(("http:", "https:", "file:"))


def parts_of(content: str | Sequence[str | Mapping[str, object]]) -> Iterator[Part]:
    """The texts and pictures of a message's content, in order.

    Raises:
        RequestError: A block can't be used; the message says which.
        ImageError: A block that should hold a picture holds none.
    """
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, str):
            yield Text(block)
        else:
            yield from _part(block)


def _part(block: Mapping[str, object]) -> Iterator[Part]:
    kind = block.get("type")
    if kind == "non_standard" and isinstance(value := block.get("value"), Mapping):
        yield from _part(value)
    elif kind in _TEXTS or (kind is None and "text" in block):
        yield Text(str(block.get("text", "")))
    elif kind in _IMAGES or (kind is None and "image_url" in block):
        yield Image(_source(block, str(kind)))
    elif kind not in _PASSED_OVER:
        raise RequestError(
            f"A message holds a block of type {kind!r}; ChatMemVR reads text and images. Leave it "
            "out, or turn it into text or an image first."
        )


def _source(block: Mapping[str, object], kind: str) -> str | bytes:
    """Where a block keeps its picture: base64, bytes or a URL."""
    media = str(block.get("mime_type") or block.get("media_type") or "image")
    if not media.startswith("image"):
        raise RequestError(
            f"A message holds a {media} file; ChatMemVR reads text and images. Turn its pages or "
            "frames into images first."
        )
    for key in _DATA:
        value = block.get(key)
        if isinstance(value, Mapping):
            return _source({"mime_type": media, **value}, kind)
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if isinstance(value, str) and value:
            if kind == "file" and media == "image" and not value.startswith("data:image/"):
                break
            return value
    if kind == "file":
        raise RequestError(
            "A message holds a file that is not said to be an image; ChatMemVR reads text and "
            "images. Set its mime_type to image/..., or turn it into images first."
        )
    hint = " (an uploaded file's id means nothing here)" if "file_id" in block else ""
    raise ImageError(
        f"A block of type {kind!r} holds no picture{hint}; give it 'base64' with 'mime_type', a "
        "'url', or make it with image_block(...)."
    )
