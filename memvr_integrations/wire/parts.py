"""Content parts as plain dicts, in the forms of every provider, as texts and pictures.

OpenAI's, Anthropic's, Google's and LangChain's own: whoever writes a message may use any of them.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeGuard
from urllib.parse import unquote_to_bytes

from memvr_integrations.checks import check_list
from memvr_integrations.errors import ImageError, RequestError
from memvr_integrations.types import Image, Text

if TYPE_CHECKING:
    from memvr_integrations.backend.images import ImageSource
    from memvr_integrations.backend.images.pixels import MediaType

Part: TypeAlias = Text | Image

_TEXTS = ("text", "input_text", "output_text", "text-plain", "refusal")
_IMAGES = ("image", "image_url", "input_image", "media", "file")
_RESULTS = ("tool_result", "server_tool_result")
_UNREADABLE = ("audio", "input_audio", "video", "document")
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
    "server_tool_call",
    "server_tool_call_chunk",
)
_CONTENT = "a text, or a list of texts and blocks: [{'type': 'text', 'text': ...}]"
_BLOCKS = (*_TEXTS, *_IMAGES, *_RESULTS, *_UNREADABLE, "non_standard")
_BEGINNINGS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")  # PNG, JPEG, GIF and WebP in base64
_UNKNOWN = ("application/octet-stream", "binary/octet-stream")
_SAID = ("data:image/", *(f"data:{media}" for media in _UNKNOWN))
_DATA = ("base64", "data", "url", "image_url", "file_data", "source", "file")


def is_block(value: object) -> TypeGuard[Mapping[str, object]]:
    """Whether data is a content block that a model should see; other mappings are data."""
    return isinstance(value, Mapping) and value.get("type") in _BLOCKS


def unwrapped(block: Mapping[str, object]) -> Mapping[str, object]:
    """The block that a `non_standard` one holds, or the block itself."""
    while block.get("type") == "non_standard" and isinstance(value := block.get("value"), Mapping):
        block = value
    return block


def parts_of(content: object) -> Iterator[Part]:
    """The texts and pictures of a message's content, in order; a single block is content too.

    It may come from strangers, so its kind is looked at here and nowhere before.
    """
    alone = isinstance(content, str | Mapping)
    for block in [content] if alone else check_list("content", content, _CONTENT):
        if isinstance(block, str):
            yield Text(block)
        elif isinstance(block, Mapping):
            yield from _part(unwrapped(block))
        else:
            raise RequestError(f"A message's content holds {block!r}; give {_CONTENT}.")


def _part(block: Mapping[str, object]) -> Iterator[Part]:
    kind = block.get("type")
    if kind in _TEXTS or (kind is None and "text" in block):
        yield _text(block)
    elif kind in _IMAGES or (kind is None and "image_url" in block):
        yield Image(_source(block, str(kind)))
    elif kind in _RESULTS:
        yield from _result(block)
    elif kind not in _PASSED_OVER:
        raise RequestError(
            f"A message holds a block of type {kind!r}; the model reads text and images. Leave "
            "it out, or turn it into text or an image first."
        )


def _result(block: Mapping[str, object]) -> Iterator[Part]:
    """What a tool gave back; one that ran on a provider's servers may give any data."""
    if block.get("is_error") or block.get("status") == "error":
        yield Text("error:")
    ours = block["type"] == "tool_result"
    given = block.get("content" if ours else "output")
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str) or is_block(one) or (ours and isinstance(one, Mapping)):
            yield from parts_of(one)
        elif one is not None:
            yield Text(json.dumps(one, ensure_ascii=False, default=str))


def _text(block: Mapping[str, object]) -> Text:
    text = block.get("refusal" if block.get("type") == "refusal" else "text")
    if text is None and block.get("type") == "text-plain":
        text = _plain_text(block)
    return Text("" if text is None else text)  # type: ignore[arg-type]  # it refuses what is none


def _plain_text(block: Mapping[str, object]) -> str:
    """The text of a file that a block holds encoded."""
    data, url = block.get("base64"), str(block.get("url") or "").strip()
    head, comma, body = url.partition(",")
    try:
        if data is None and comma and head[:5].lower() == "data:":
            data = unquote_to_bytes(body)
            if "base64" in [word.strip() for word in head.lower().split(";")]:
                data = data.decode("latin-1")
        if isinstance(data, str):
            compact = "".join(data.split()).replace("-", "+").replace("_", "/")
            data = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
        if isinstance(data, bytes):
            return data.decode()
    except ValueError as problem:
        raise RequestError(
            f"A block of type 'text-plain' can't be read: {problem}. Encode its text as UTF-8 "
            "before base64, or give it as 'text'."
        ) from problem
    place = url or block.get("file_id")
    raise RequestError(
        f"A block of type 'text-plain' holds no text (url or file_id: {place!r}); only "
        "pictures are downloaded. Give the text itself as 'text'."
    )


def _source(block: Mapping[str, object], kind: str, media: str = "image") -> str | bytes:
    """Where a block keeps its picture: base64, bytes or a URL."""
    said_media = str(block.get("mime_type") or block.get("media_type") or media)
    media = said_media.partition(";")[0].strip().lower()
    # LangChain calls every file of OpenAI's form a PDF.
    if media == "application/pdf" and str(block.get("base64")).startswith(_BEGINNINGS):
        media = "image/*"
    if media in _UNKNOWN:  # what it is, its bytes say
        media = "image/*"
    if not media.startswith("image"):
        raise RequestError(
            f"A message holds a {media} file; the model reads text and images. Turn its pages "
            "or frames into images first."
        )
    for key in _DATA:
        value = block.get(key)
        if isinstance(value, Mapping):
            return _source(value, kind, media)
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if isinstance(value, str) and value:
            said = value.lstrip()[:64].lower().startswith(_SAID)
            if kind == "file" and media == "image" and not said:
                break
            return value
    if kind == "file":
        raise RequestError(
            "A message holds a file that is not said to be an image; the model reads text and "
            "images. Set its mime_type to image/..., or turn it into images first."
        )
    hint = " (an uploaded file's id means nothing here)" if "file_id" in block else ""
    raise ImageError(
        f"A block of type {kind!r} holds no picture{hint}; give it 'base64' with 'mime_type', a "
        "'url', or make it with image_block(...)."
    )


def own_picture(source: "ImageSource") -> "tuple[bytes, MediaType]":
    """What `image_block` puts into a block: here a text is a path, for the program names it."""
    # NumPy and Pillow come in with the first picture.
    from memvr_integrations.backend.images import encoded_image, path_or_data

    return encoded_image(path_or_data(source))
