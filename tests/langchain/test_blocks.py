import base64
import io

import numpy as np
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from PIL import Image as Pillow

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import ImageError
from memvr_integrations.langchain import image_block
from memvr_integrations.langchain.blocks import inlined, refers
from memvr_integrations.types import Image, Text
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.wire.parts import parts_of

PIXELS = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype=np.uint8)
_buffer = io.BytesIO()
Pillow.fromarray(PIXELS).save(_buffer, "PNG")
PNG = _buffer.getvalue()


def pixels_of(part):
    return np.asarray(load_image(part.source))


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


def saved(kind, **options):
    buffer = io.BytesIO()
    mode = options.pop("mode", "RGB")
    Pillow.fromarray(PIXELS).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


TURNED = Pillow.Exif()
TURNED[0x0112] = 6


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (saved("JPEG"), "image/jpeg"),
        (saved("JPEG", mode="L"), "image/jpeg"),
        (saved("PNG", compress_level=9), "image/png"),
        (saved("JPEG", exif=TURNED), None),
        (saved("PNG", exif=TURNED), None),
        (saved("JPEG", mode="CMYK"), None),
        (saved("PNG", mode="RGBA"), None),
        (saved("PNG", mode="P"), None),
        (saved("PNG", transparency=(1, 2, 3)), None),
        (saved("PNG", save_all=True, append_images=[Pillow.new("RGB", (7, 9))]), None),
        (saved("BMP"), None),
        (saved("GIF"), None),
        (saved("WEBP", lossless=True), None),
    ],
)
@pytest.mark.filterwarnings("ignore:.*has more than one frame")
def test_an_ordinary_file_travels_as_it_is(tmp_path, data, media):
    """What others may show otherwise than we do becomes a PNG."""
    (tmp_path / "a").write_bytes(data)
    url = f"data:image/any;base64,{base64.b64encode(data).decode()}"
    for source in (data, tmp_path / "a", url):
        block = image_block(source)
        sent = base64.b64decode(block["base64"])
        assert (sent == data) == (media is not None)
        assert block["mime_type"] == (media or "image/png") == llama_index_block(source)
        assert np.array_equal(load_image(sent), load_image(data))
        if media is None:
            assert sent.startswith(b"\x89PNG")


def llama_index_block(source):
    from memvr_integrations.llama_index import image_block as block

    return block(source).image_mimetype


def test_a_file_that_travels_as_it_is_was_looked_at(tmp_path):
    file = tmp_path / "cut.jpg"
    file.write_bytes(saved("JPEG", quality=95)[:-90])
    with pytest.raises(ImageError, match=r"cut\.jpg.* is damaged or incomplete"):
        image_block(file)
    large = io.BytesIO()
    Pillow.new("1", (20_000, 20_000)).save(large, "PNG")
    with pytest.raises(ImageError, match="max_pixels"):
        image_block(large.getvalue())


def test_pictures_elsewhere_are_brought_in(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    said = HumanMessage([{"type": "image_url", "image_url": file.as_uri()}, "What is it?"])
    here = HumanMessage([image_block(PNG)])
    assert refers([here, said])
    assert not refers([here, HumanMessage("Hello")])
    changed = inlined([here, said], ImagePolicy(image_dirs=(tmp_path,)))
    assert changed[0] is here
    assert changed[1].content == [dict(image_block(PNG)), "What is it?"]
    assert said.content[0]["type"] == "image_url"
    with pytest.raises(ImageError, match="image_dirs"):
        inlined([said], ImagePolicy())


WRAPS = {
    "no type": lambda url: {"image_url": url},
    "blanks": lambda url: {"type": "image", "url": f" \n{url}"},
    "capitals": lambda url: {"type": "image", "url": url.replace("file", "FILE")},
    "non-standard": lambda url: {"type": "non_standard", "value": {"image_url": url}},
    "result": lambda url: {"type": "tool_result", "content": [{"image_url": url}]},
    "result of one": lambda url: {"type": "tool_result", "content": {"image_url": url}},
    "non-standard result": lambda url: {
        "type": "non_standard",
        "value": {"type": "tool_result", "content": [{"image_url": url}]},
    },
    "server's result": lambda url: {
        "type": "server_tool_result",
        "output": [{"type": "image", "url": url}],
    },
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("as_tool", [False, True])
def test_a_cache_sees_every_picture_that_is_read(tmp_path, wrap, as_tool):
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    content = ["Here:", wrap(file.as_uri())]
    said = ToolMessage(content, tool_call_id="1") if as_tool else HumanMessage(content)
    assert refers([said])
    changed = inlined([said], ImagePolicy(image_dirs=(tmp_path,)))
    assert not refers(changed)
    file.unlink()
    text, part = parts_of(changed[0].content)
    assert text == Text("Here:")
    assert np.array_equal(pixels_of(part), PIXELS)


def test_a_result_with_a_picture_brought_in_is_still_one(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    shown = [{"type": "text", "text": "Here:"}, {"type": "image", "url": file.as_uri()}]
    failed = {"type": "tool_result", "tool_use_id": "7", "is_error": True, "content": shown}
    [changed] = inlined([HumanMessage([failed])], ImagePolicy(image_dirs=(tmp_path,)))
    [result] = changed.content
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "7")
    error, text, _ = parts_of(changed.content)
    assert (error, text) == (Text("error:"), Text("Here:"))


def test_a_string_is_a_file_or_data_but_no_url(tmp_path):
    buffer = io.BytesIO()
    Pillow.new("RGB", (4, 3), (9, 8, 7)).save(buffer, "PNG")
    encoded = buffer.getvalue()
    url = "data:image/png;base64," + base64.b64encode(encoded).decode()
    (tmp_path / "a.png").write_bytes(encoded)
    assert image_block(url) == image_block(str(tmp_path / "a.png")) == image_block(encoded)
    with pytest.raises(ImageError, match=r"is a URL; put it into a message"):
        image_block("https://img.example.org/a.png")
