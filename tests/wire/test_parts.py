import base64
import io

import numpy as np
import pytest
from PIL import Image as Pillow

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import ImageError, RequestError
from memvr_integrations.types import Text
from memvr_integrations.wire.parts import parts_of

PIXELS = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype=np.uint8)
_buffer = io.BytesIO()
Pillow.fromarray(PIXELS).save(_buffer, "PNG")
PNG = _buffer.getvalue()
BASE64 = base64.b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{BASE64}"
GREETING = base64.b64encode("Grüße".encode()).decode()


def pixels_of(part):
    return np.asarray(load_image(part.source))


FORMS = {
    "v1 base64": {"type": "image", "base64": BASE64, "mime_type": "image/png"},
    "v1 url": {"type": "image", "url": DATA_URL},
    "v1 bytes": {"type": "image", "base64": PNG},
    "v0 base64": {"type": "image", "source_type": "base64", "data": BASE64},
    "v0 url": {"type": "image", "source_type": "url", "url": DATA_URL},
    "image_url dict": {"type": "image_url", "image_url": {"url": DATA_URL}},
    "image_url with detail": {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
    "image_url string": {"type": "image_url", "image_url": DATA_URL},
    "image_url without type": {"image_url": DATA_URL},
    "image_url of base64": {"type": "image_url", "image_url": {"url": BASE64}},
    "input_image": {"type": "input_image", "image_url": DATA_URL},
    "Anthropic base64": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": BASE64},
    },
    "Anthropic url": {"type": "image", "source": {"type": "url", "url": DATA_URL}},
    "Google media": {"type": "media", "mime_type": "image/png", "data": BASE64},
    "Google media bytes": {"type": "media", "mime_type": "image/png", "data": PNG},
    "file with an image": {"type": "file", "mime_type": "image/png", "base64": BASE64},
    "image of any file": {
        "type": "image",
        "mime_type": "application/octet-stream",
        "base64": BASE64,
    },
    "file of any kind": {
        "type": "file",
        "file": {"file_data": f"data:application/octet-stream;base64,{BASE64}"},
    },
    "file in capitals": {"type": "file", "mime_type": "IMAGE/PNG", "base64": BASE64},
    "file with a loud URL": {"type": "file", "url": " DATA:IMAGE/PNG;BASE64," + BASE64},
    "Anthropic file": {"type": "file", "source": {"media_type": "image/png", "data": BASE64}},
    "wrapped base64": {
        "type": "image",
        "base64": "\n".join(BASE64[i : i + 76] for i in range(0, len(BASE64), 76)),
    },
    "URL-safe base64": {
        "type": "image",
        "base64": base64.urlsafe_b64encode(PNG).decode().rstrip("="),
    },
    "OpenAI file": {"type": "file", "file": {"file_data": DATA_URL, "filename": "a.png"}},
    "non-standard": {
        "type": "non_standard",
        "value": {"type": "image_url", "image_url": DATA_URL},
    },
    "non-standard twice": {
        "type": "non_standard",
        "value": {"type": "non_standard", "value": {"image_url": DATA_URL}},
    },
    "tool's result": {"type": "tool_result", "content": [{"image_url": DATA_URL}]},
    "server's result": {
        "type": "server_tool_result",
        "output": [{"type": "image", "url": DATA_URL}],
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_picture_is_seen(form):
    before, part, after = parts_of(["Left:", FORMS[form], {"type": "text", "text": "right"}])
    assert (before, after) == (Text("Left:"), Text("right"))
    assert np.array_equal(pixels_of(part), PIXELS)


@pytest.mark.parametrize(
    "content",
    [
        "Hello",
        ["Hello"],
        [{"type": "text", "text": "Hello"}],
        [{"text": "Hello"}],
        [{"type": "input_text", "text": "Hello"}],
        [{"type": "text-plain", "text": "Hello", "mime_type": "text/plain"}],
        [{"type": "non_standard", "value": {"type": "text", "text": "Hello"}}],
        [{"type": "text-plain", "mime_type": "text/plain", "base64": "SGVs\nbG8"}],
        [{"type": "text-plain", "base64": b"Hello"}],
        [{"type": "text-plain", "url": "data:text/plain;charset=utf-8;base64,SGVsbG8="}],
        [{"type": "text-plain", "url": " DATA:,%48ello"}],
        [{"type": "refusal", "refusal": "Hello"}],
        [{"type": "server_tool_result", "tool_call_id": "1", "output": "Hello"}],
        [
            {"type": "server_tool_call", "id": "1", "name": "f", "args": {}},
            {"type": "server_tool_call_chunk", "args": "{}"},
            {"type": "server_tool_result", "output": [{"type": "text", "text": "Hello"}]},
        ],
        [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Hello"}],
        [{"type": "text", "text": "Hello"}, {"type": "tool_use", "id": "1", "name": "f"}],
    ],
)
def test_every_form_of_text_is_read(content):
    assert list(parts_of(content)) == [Text("Hello")]


@pytest.mark.parametrize(
    ("block", "texts"),
    [
        ({"type": "text", "text": None}, [""]),
        ({"type": "text-plain", "text": "", "base64": "SGVsbG8"}, [""]),
        ({"type": "text-plain", "base64": ""}, [""]),
        ({"type": "text-plain", "base64": GREETING}, ["Grüße"]),
        ({"type": "server_tool_result", "status": "success"}, []),
        ({"type": "server_tool_result", "status": "error"}, ["error:"]),
        ({"type": "tool_result", "is_error": True, "content": "No."}, ["error:", "No."]),
        ({"type": "tool_result", "content": None}, []),
        (
            {"type": "server_tool_result", "output": ["A", {"type": "logs", "logs": "ü"}]},
            ["A", '{"type": "logs", "logs": "ü"}'],
        ),
    ],
)
def test_nothing_is_added_to_a_text_or_left_out(block, texts):
    assert list(parts_of([block])) == [Text(text) for text in texts]


@pytest.mark.parametrize(
    ("block", "match"),
    [
        ({"type": "text-plain", "url": "https://example.org/a.txt"}, "org/a.txt.*'text'"),
        ({"type": "text-plain", "file_id": "file-1"}, "file-1.*'text'"),
        ({"type": "text-plain", "url": "data:text/plain"}, "holds no text"),
        ({"type": "text-plain", "base64": "/w=="}, "can't be read.*UTF-8"),
        ({"type": "text-plain", "base64": "a!"}, "can't be read.*base64"),
        ({"type": "tool_result", "content": [{"type": "document"}]}, "'document'"),
        ({"type": "tool_result", "content": [{"type": "smell"}]}, "'smell'"),
        ({"type": "server_tool_result", "output": {"type": "audio"}}, "'audio'"),
        ({"type": "image", "source": {"media_type": "Application/PDF", "data": "A"}}, "pdf"),
        ({"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}, "'audio'"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, "'input_audio'"),
        ({"type": "video", "url": "https://example.org/a.mp4"}, "'video'"),
        ({"type": "document", "source": {}}, "'document'"),
        ({"type": "file", "base64": "AAAA", "mime_type": "application/pdf"}, "application/pdf"),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}, "not said"),
        ({"type": "file", "file_id": "file-1"}, "not said to be an image"),
        ({"type": "media", "mime_type": "video/mp4", "data": "AAAA"}, "video/mp4"),
        ({"type": "smell", "value": 1}, "'smell'"),
        ({}, "type None"),
    ],
)
def test_what_cannot_be_used_is_named(block, match):
    with pytest.raises(RequestError, match=match):
        list(parts_of([block]))


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image"},
        {"type": "image", "file_id": "file-1"},
        {"type": "image_url", "image_url": {}},
        {"type": "image", "source": {"type": "file", "file_id": "x"}},
    ],
)
def test_a_picture_without_pixels_is_an_error(block):
    with pytest.raises(ImageError, match="holds no picture"):
        list(parts_of([block]))


def test_a_picture_that_langchain_takes_for_a_pdf_is_seen():
    """OpenAI's form of a file says no type, and LangChain's core makes a PDF of it."""
    block = {"type": "file", "base64": BASE64, "mime_type": "application/pdf"}
    [part] = parts_of([block])
    assert part.source == BASE64
