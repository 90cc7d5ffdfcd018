import base64
import io

import numpy as np
import pytest
from langchain_core.messages import HumanMessage
from PIL import Image as Pillow

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import ImageError, RequestError
from memvr_integrations.langchain import image_block
from memvr_integrations.langchain.blocks import inlined, parts_of, refers
from memvr_integrations.policy import ImagePolicy
from memvr_integrations.types import Image, Text

PIXELS = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype=np.uint8)
_buffer = io.BytesIO()
Pillow.fromarray(PIXELS).save(_buffer, "PNG")
PNG = _buffer.getvalue()
BASE64 = base64.b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{BASE64}"


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
    "OpenAI file": {"type": "file", "file": {"file_data": DATA_URL, "filename": "a.png"}},
    "non-standard": {
        "type": "non_standard",
        "value": {"type": "image_url", "image_url": DATA_URL},
    },
    "image_block": dict(image_block(PNG)),
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
        [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Hello"}],
        [{"type": "text", "text": "Hello"}, {"type": "tool_use", "id": "1", "name": "f"}],
    ],
)
def test_every_form_of_text_is_read(content):
    assert list(parts_of(content)) == [Text("Hello")]


@pytest.mark.parametrize(
    ("block", "match"),
    [
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


def test_a_block_from_every_kind_of_source(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    for source in (file, str(file), PNG, Pillow.open(io.BytesIO(PNG)), PIXELS):
        [part] = parts_of([image_block(source)])
        assert isinstance(part, Image)
        assert np.array_equal(pixels_of(part), PIXELS)


def test_a_block_of_nothing_is_an_error(tmp_path):
    with pytest.raises(ImageError, match=r"none\.png"):
        image_block(tmp_path / "none.png")


def test_pictures_elsewhere_are_brought_in(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    said = HumanMessage([{"type": "image_url", "image_url": file.as_uri()}, "What is it?"])
    here = HumanMessage([FORMS["v1 base64"]])
    assert refers([here, said])
    assert not refers([here, HumanMessage("Hello")])
    changed = inlined([here, said], ImagePolicy(image_dirs=(tmp_path,)))
    assert changed[0] is here
    assert changed[1].content == [dict(image_block(PNG)), "What is it?"]
    assert said.content[0]["type"] == "image_url"
    with pytest.raises(ImageError, match="image_dirs"):
        inlined([said], ImagePolicy())
