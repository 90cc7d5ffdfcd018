"""Limits of size and shape, which bombs meet before anything is decoded."""

import io
import struct
import time
import warnings

import numpy as np
import pytest
from pictures import ENCODED, PICTURE, PIXELS, encode, png_claiming, refused
from PIL import Image

from memvr_integrations.backend.images import ImagePolicy, load_image


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
