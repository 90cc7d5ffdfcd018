"""From every mode of a picture to what one sees: colours, depth, transparency, orientation."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from pictures import BLACK, ENCODED, PICTURE, PNG, RED, WHITE, chunk, encode, refused, same
from PIL import Image, ImageCms

from memvr_integrations.backend.images import load_image, pixel_hash
from memvr_integrations.errors import MemVRWarning


def striped(mode: str, left: object, right: object) -> Image.Image:
    image = Image.new(mode, (4, 2), left)
    image.paste(right, (2, 0, 4, 2))
    return image


def palette(mode: str = "RGB", *colours: int) -> Image.Image:
    image = striped("P", 0, 1)
    image.putpalette(colours or (255, 0, 0, 255, 255, 255), mode)
    return image


def see_through(image: Image.Image, transparency: object) -> Image.Image:
    image.info["transparency"] = transparency
    return image


@pytest.mark.parametrize(
    ("image", "left", "right"),
    [
        (striped("1", 0, 1), BLACK, WHITE),
        (striped("L", 7, 200), (7, 7, 7), (200, 200, 200)),
        (striped("LA", (7, 255), (7, 0)), (7, 7, 7), WHITE),
        (striped("LA", (0, 255), (0, 51)), BLACK, (204, 204, 204)),
        (striped("LA", (7, 255), (7, 0)).convert("La"), (7, 7, 7), WHITE),
        (striped("RGBA", (255, 0, 0, 255), (0, 0, 0, 0)), RED, WHITE),
        (striped("RGBA", (255, 0, 0, 255), (0, 0, 0, 0)).convert("RGBa"), RED, WHITE),
        (striped("RGBX", (255, 0, 0, 9), (1, 2, 3, 0)), RED, (1, 2, 3)),
        (striped("RGBA", (255, 0, 0, 255), (1, 2, 3, 0)).convert("PA"), RED, WHITE),
        (palette(), RED, WHITE),
        (palette("RGBA", 255, 0, 0, 255, 9, 9, 9, 0), RED, WHITE),
        (see_through(palette("RGB", 255, 0, 0, 9, 9, 9), 1), RED, WHITE),
        (see_through(palette("RGB", 255, 0, 0, 9, 9, 9), b"\xff\x00"), RED, WHITE),
        (see_through(striped("L", 7, 9), 9), (7, 7, 7), WHITE),
        (see_through(striped("RGB", RED, (1, 2, 3)), (1, 2, 3)), RED, WHITE),
        (striped("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), RED, WHITE),
        (striped("YCbCr", (76, 85, 255), (255, 128, 128)), (254, 0, 0), WHITE),
        (striped("HSV", (0, 255, 255), (0, 0, 255)), RED, WHITE),
        (striped("LAB", (0, 128, 128), (255, 128, 128)), BLACK, WHITE),
        (striped("I;16", 0x8000, 0xFFFF), (128,) * 3, WHITE),
        (striped("I;16B", 0x8000, 0xFFFF), (128,) * 3, WHITE),
        (striped("I", 0x8000, 0xFFFF), (128,) * 3, WHITE),
        (striped("F", 0.2, 1.0), (51,) * 3, WHITE),
    ],
)
def test_every_mode_becomes_what_one_sees(image, left, right):
    loaded = load_image(image)
    assert loaded.mode == "RGB"
    assert np.abs(np.subtract(loaded.getpixel((0, 0)), left)).max() <= 1
    assert np.abs(np.subtract(loaded.getpixel((3, 1)), right)).max() <= 1


def test_deep_and_transparent_files():
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    eight = np.repeat((deep // 257).astype(np.uint8)[..., None], 3, axis=2)
    for kind in ("PNG", "TIFF", "PPM"):
        assert same(load_image(encode(Image.fromarray(deep), kind)), eight)
    floats = Image.fromarray((deep / 65535).astype(np.float32))
    assert same(load_image(encode(floats, "TIFF")), eight)
    gif = encode(palette(), "GIF", transparency=0)
    assert load_image(gif).getpixel((0, 0)) == WHITE
    keyed = encode(palette("RGB", 255, 0, 0, 9, 9, 9), "PNG", transparency=b"\xff\x00")
    assert load_image(keyed).getpixel((3, 0)) == WHITE
    lab = encode(striped("LAB", (0, 128, 128), (255, 128, 128)), "TIFF")
    assert min(load_image(lab).getpixel((3, 0))) >= 254


@pytest.mark.parametrize(
    ("depth", "colour", "row", "clear", "left"),
    [
        (1, 0, b"\xc0", (0,), WHITE),
        (2, 0, b"\xa5", (1,), (170,) * 3),
        (4, 0, b"\x88\x33", (3,), (136,) * 3),
        (8, 0, bytes([128, 128, 7, 7]), (7,), (128,) * 3),
        (16, 0, b"\x80\0\x80\0\x03\x09\x03\x09", (777,), (128,) * 3),
        (16, 0, b"\x03\x0a\x03\x0a\x03\x09\x03\x09", (777,), (3,) * 3),
        (
            16,
            2,
            b"\x80\0\0\0\0\0" * 2 + b"\x12\x34\0\1\xff\xff" * 2,
            (0x1234, 1, 0xFFFF),
            (128, 0, 0),
        ),
    ],
)
def test_a_png_may_name_one_clear_value(depth, colour, row, clear, left):
    width = 4
    header = struct.pack(">IIBBBBB", width, 2, depth, colour, 0, 0, 0)
    named = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + row) * 2))
    data = PNG[:8] + chunk(b"IHDR", header) + named + pixels + PNG[-12:]
    for loaded in (load_image(data), load_image(Image.open(io.BytesIO(data)))):
        assert np.abs(np.subtract(loaded.getpixel((0, 0)), left)).max() <= 1
        assert loaded.getpixel((3, 1)) == WHITE


def test_a_cmyk_jpeg_is_not_inverted():
    jpeg = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert b"Adobe" in jpeg
    assert np.abs(np.subtract(load_image(jpeg).getpixel((8, 8)), RED)).max() < 6


def test_lab_without_a_colour_engine_is_an_image_error(monkeypatch):
    def fail(*_: object) -> None:
        raise ImportError("no littlecms")

    monkeypatch.setattr(ImageCms, "buildTransform", fail)
    refused(striped("LAB", (0, 128, 128), (255, 128, 128)), "mode LAB.*littlecms")


@pytest.mark.parametrize("image", [striped("I", -1, 9), striped("I", 0, 65536)])
def test_integers_beyond_sixteen_bits_are_refused(image):
    refused(image, "0..65535")


@pytest.mark.parametrize("value", [1.5, float("nan"), -0.5])
def test_float_pictures_follow_the_rule_of_float_arrays(value):
    refused(striped("F", 0.5, value), "mode F.*0..1")


# Orientation.


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "Pillow", "deep"])
def test_exif_orientation_is_applied(orientation, kind):
    upright = Image.new("L", (32, 16), 255)
    upright.paste(0, (0, 0, 8, 8))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(back[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "deep":
        stored = Image.fromarray(np.asarray(stored).astype(np.uint16) * 257)
    data = encode(stored, kind if kind in ENCODED else "PNG", exif=exif)
    loaded = load_image(Image.open(io.BytesIO(data)) if kind == "Pillow" else data)
    assert loaded.size == (32, 16)
    assert np.abs(np.asarray(loaded)[..., 0].astype(int) - np.asarray(upright)).max() < 20
    assert loaded.getexif().get(0x0112, 1) == 1


def test_the_callers_picture_is_left_as_it_was():
    exif = Image.Exif()
    exif[0x0112] = 6
    mine = Image.open(io.BytesIO(encode(PICTURE, "PNG", exif=exif)))
    load_image(mine)
    assert mine.size == PICTURE.size
    assert mine.getexif()[0x0112] == 6


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_unreadable_exif_does_not_cost_the_picture(exif):
    data = encode(PICTURE, "PNG", exif=exif)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert pixel_hash(load_image(data)) == pixel_hash(PICTURE)


def test_unreadable_exif_is_reported():
    with pytest.warns(MemVRWarning, match="taken as upright") as warned:
        load_image(encode(PICTURE, "PNG", exif=b"Exif\0\0garbage"))
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", MemVRWarning)
        with pytest.raises(MemVRWarning):
            load_image(encode(PICTURE, "PNG", exif=b"Exif\0\0garbage"))
