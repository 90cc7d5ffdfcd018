"""Limits of size and shape, which bombs meet before anything is decoded."""

import io
import struct
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from pictures import ENCODED, PICTURE, PIXELS, PNG, chunk, encode, png_claiming, refused, same
from PIL import Image

from memvr_integrations.backend.images import ImagePolicy, load_image, pixels


def test_the_pixel_limit_is_exact():
    exact, under = ImagePolicy(max_pixels=13 * 17), ImagePolicy(max_pixels=13 * 17 - 1)
    for source in (*ENCODED.values(), PICTURE, PIXELS):
        assert load_image(source, exact).size == (17, 13)
        refused(source, "17 x 13 pixels, above max_pixels=220", under)


@pytest.mark.parametrize("side", [7100, 9500, 14_000, 60_000, 2**31 - 1])
def test_bombs_are_refused_from_their_header_without_a_stray_warning(side, monkeypatch):
    monkeypatch.setattr(Image.core, "new", lambda *_: pytest.fail("allocated"))
    before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    refused(png_claiming(side, side), f"{side} x {side} pixels, above max_pixels=50000000")
    assert warnings.filters == before
    assert limit == Image.MAX_IMAGE_PIXELS


def test_bombs_of_other_formats():
    gif = bytearray(ENCODED["GIF"])
    gif[6:10] = b"\xff" * 4
    refused(bytes(gif), "max_pixels")
    jpeg = bytearray(ENCODED["JPEG"])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff" * 4
    refused(bytes(jpeg), "max_pixels")
    refused(b"P6 60000 60000 255\n", "max_pixels")
    bmp = bytearray(ENCODED["BMP"])
    bmp[18:26] = struct.pack("<ii", 60000, 60000)
    refused(bytes(bmp), "max_pixels")
    webp = b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f" + b"\xff\xff\xff\x0f" + bytes(12)
    refused(webp, "image data of")


def test_a_lazily_opened_bomb_is_refused():
    lazy = Image.open(io.BytesIO(png_claiming(8000, 8000)))
    refused(lazy, r"mode RGB and size \(8000, 8000\).*max_pixels")


def test_a_jpeg_of_endless_scans_is_refused_quickly():
    jpeg = encode(Image.new("L", (64, 64), 7), "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    start = time.monotonic()
    refused(jpeg[:-2] + scan * 50_000 + jpeg[-2:], "more than 100 scans")
    assert time.monotonic() - start < 2
    assert load_image(jpeg[:-2] + scan * 20 + jpeg[-2:]).size == (64, 64)
    motion_photo = jpeg + b"\xff\xda\0\x02" * 50_000
    assert load_image(motion_photo).size == (64, 64)


def _gif_of(blocks: bytes) -> bytes:
    gif = ENCODED["GIF"]
    after_palette = 13 + (6 << (gif[10] & 7))
    return gif[:after_palette] + blocks + gif[after_palette:]


def _run_lengths(runs: bytes) -> bytes:
    bmp = bytearray(encode(Image.new("L", (60, 60)), "BMP"))[:1078]
    bmp[30:34] = struct.pack("<I", 1)
    return bytes(bmp) + runs


@pytest.mark.parametrize(
    "data",
    [
        PNG[:33] + chunk(b"prVt", b"") * 2_000 + PNG[33:],
        PNG[:-12] + chunk(b"tEXt", b"a\0b") * 2_000 + PNG[-12:],
        ENCODED["JPEG"][:2] + b"\xff\xe5\0\2" * 2_000 + ENCODED["JPEG"][2:],
        ENCODED["JPEG"][:2] + b"\xff" * 7_000 + ENCODED["JPEG"][2:],
        _gif_of(b"!\xfe\1a\0" * 2_000),
        _gif_of(b"\1" * 7_000),
        _run_lengths((b"\1\5" * 60 + b"\0\0") * 60),
        b"P6 #" + b"x" * 7_000 + b"\n1 1 255 abc",
        b"P6 " + b" " * 7_000 + b"1 1 255 abc",
    ],
    ids=["chunks", "texts", "segments", "fill", "comments", "junk", "runs", "comment", "blanks"],
)
def test_pictures_of_countless_small_parts_are_refused(data, monkeypatch):
    assert load_image(data).size in ((17, 13), (60, 60), (1, 1))
    monkeypatch.setattr(pixels, "_MAX_JPEG_PARTS", 1000)
    monkeypatch.setattr(pixels, "_MAX_READS", 3000)
    refused(data, "too many small parts|1000 parts")


def test_a_large_picture_may_have_as_many_parts_as_its_size_needs(monkeypatch):
    monkeypatch.setattr(pixels, "_MAX_READS", 3000)
    noise = np.random.default_rng(3).integers(0, 256, (1000, 1000), dtype=np.uint8)
    gif = encode(Image.fromarray(noise).convert("P"), "GIF")
    assert len(gif) > 900_000
    assert load_image(gif).size == (1000, 1000)


def test_pixels_written_as_text_are_read_up_to_a_limit_and_their_comments_cost_nothing():
    text = b"P3 # made by hand\n17 13 255\n" + b" ".join(b"%d" % one for one in PIXELS.ravel())
    assert same(load_image(text), PIXELS)
    start = time.process_time()
    bits = b"P1 200 200\n" + b"#\n" * 1_000_000 + b"01" * 20_000
    assert load_image(bits).size == (200, 200)
    assert time.process_time() - start < 5
    refused(b"P2 9 9 255\n" + b"1 " * 2**21, "a PNM of 4194315 bytes of text, above 4194304")


def test_damaged_tags_are_no_warnings_of_pillow():
    tags = b"".join(struct.pack("<HHII", tag, 7, 2**20, 8) for tag in range(500))
    exif = b"II*\0" + struct.pack("<IH", 8, 500) + tags + bytes(4)
    code = f"""if True:
        import warnings
        warnings.simplefilter("always")
        from memvr_integrations.backend.images import load_image
        load_image({PNG[:33] + chunk(b"eXIf", exif) + PNG[33:]!r})
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert not done.stderr


def test_extreme_shapes_are_refused_and_small_ones_are_not():
    assert load_image(np.zeros((1, 1), np.uint8)).size == (1, 1)
    assert load_image(np.zeros((1, 200), np.uint8)).size == (200, 1)
    refused(np.zeros((1, 201), np.uint8), "201 x 1 pixels, longer than max_aspect=200")
    refused(Image.new("L", (2, 402)), "2 x 402")
    refused(encode(Image.new("L", (1, 3000)), "PNG"), "max_aspect")
    assert load_image(np.zeros((1, 201), np.uint8), ImagePolicy(max_aspect=201)).width == 201


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_pictures_without_pixels(size):
    refused(Image.new("RGB", size), "no pixels")
