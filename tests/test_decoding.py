"""From bytes and arrays to pixels: modes, orientation, animations, limits, damage."""

import io
import struct
import threading
import time
import warnings

import numpy as np
import pytest
from pictures import (
    BLACK,
    ENCODED,
    PICTURE,
    PIXELS,
    PNG,
    RED,
    WHITE,
    encode,
    png_claiming,
    refused,
    same,
)
from PIL import Image, ImageCms

from memvr_integrations.backend.images import ImagePolicy, load_image, pixel_hash
from memvr_integrations.errors import ImageError, MemVRWarning

# Modes and numbers.


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


def test_a_cmyk_jpeg_is_not_inverted():
    jpeg = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert b"Adobe" in jpeg
    assert np.abs(np.subtract(load_image(jpeg).getpixel((8, 8)), RED)).max() < 6


def test_lab_without_a_colour_engine_is_an_image_error(monkeypatch):
    def fail(*_: object) -> None:
        raise ImportError("no littlecms")

    monkeypatch.setattr(ImageCms, "buildTransform", fail)
    refused(striped("LAB", (0, 128, 128), (255, 128, 128)), "mode LAB.*littlecms")


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


def test_unreadable_exif_is_told():
    with pytest.warns(MemVRWarning, match="taken as upright") as told:
        load_image(encode(PICTURE, "PNG", exif=b"Exif\0\0garbage"))
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", MemVRWarning)
        with pytest.raises(MemVRWarning):
            load_image(encode(PICTURE, "PNG", exif=b"Exif\0\0garbage"))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 7, 255]], np.uint8), [0, 7, 255]),
        (np.array([[[0], [7], [255]]], np.uint8), [0, 7, 255]),
        (np.array([[0, 1000, 65535]], np.uint16), [0, 4, 255]),
        (np.array([[128, 129, 65406, 65407]], np.uint16), [0, 1, 254, 255]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.array([[0.0, 0.25, 1.0]], np.float16), [0, 64, 255]),
        (np.array([[0.0, 0.25, 1.0]], np.longdouble), [0, 64, 255]),
        (np.ones((1, 1, 3), np.uint8), [1]),
    ],
)
def test_array_values_fill_eight_bits(array, expected):
    assert np.asarray(load_image(array))[0, :, 0].tolist() == expected


def test_array_alpha_shows_white():
    assert load_image(np.zeros((1, 1, 4), np.uint8)).getpixel((0, 0)) == WHITE
    assert load_image(np.zeros((1, 1, 4))).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((3, 8, 9), np.uint8), r"channel-first.*transpose\(1, 2, 0\)"),
        (np.zeros((1, 8, 9), np.uint8), "channel-first"),
        (np.zeros((4, 8, 9)), "channel-first"),
        (np.zeros((8, 9, 2), np.uint8), r"is not \(H, W\)"),
        (np.zeros((8, 9, 5), np.uint8), r"is not \(H, W\)"),
        (np.zeros(8, np.uint8), r"is not \(H, W\)"),
        (np.zeros((), np.uint8), r"is not \(H, W\)"),
        (np.zeros((1, 8, 9, 3), np.uint8), r"is not \(H, W\)"),
        (np.zeros((0, 9, 3), np.uint8), "no pixels: 9 x 0"),
        (np.zeros((9, 0), np.float32), "no pixels: 0 x 9"),
        (np.zeros((8, 9, 0), np.uint8), r"is not \(H, W\)"),
        (np.full((2, 2), 1.01), "from 1.01 to 1.01.*0..1"),
        (np.full((2, 2), 255.0), "0..1"),
        (np.full((2, 2), 1e300), "0..1"),
        (np.array([[0.1, -0.1]]), "from -0.1 to 0.1"),
        (np.array([[0.1, np.nan]]), "nan"),
        (np.array([[0.1, np.inf]]), "inf"),
        (np.zeros((2, 2), np.int64), "int64.*uint8"),
        (np.zeros((2, 2), np.int8), "int8"),
        (np.zeros((2, 2), np.uint32), "uint32"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.zeros((2, 2), object), "object"),
        (np.array([["a"]]), "<U1"),
        (np.zeros((2, 2), [("r", "u1")]), "dtype"),
        (np.zeros((2, 2), "M8[s]"), "datetime64"),
    ],
)
def test_arrays_that_are_refused(array, match):
    assert f"{array.dtype} array of shape {array.shape}" in refused(array, match)


@pytest.mark.parametrize("image", [striped("I", -1, 9), striped("I", 0, 65536)])
def test_integers_beyond_sixteen_bits_are_refused(image):
    refused(image, "0..65535")


@pytest.mark.parametrize("value", [1.5, float("nan"), -0.5])
def test_float_pictures_follow_the_rule_of_float_arrays(value):
    refused(striped("F", 0.5, value), "mode F.*0..1")


@pytest.mark.parametrize(
    "source", [None, 7, [1, 2], {"url": "x"}, io.BytesIO(PNG), object, "x".encode]
)
def test_other_types_are_refused_with_the_list_of_what_works(source):
    assert type(source).__name__ in refused(source, r"pathlib\.Path.*numpy")


# Animations.


def frames(kind: str, **options: object) -> bytes:
    others = [Image.new("RGB", (8, 8), colour) for colour in ("green", "blue")]
    return encode(
        Image.new("RGB", (8, 8), RED), kind, save_all=True, append_images=others, **options
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GIF", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 100}),
    ],
)
def test_the_first_frame_of_an_animation_is_taken_and_told(kind, options):
    data = frames(kind, **options)
    with pytest.warns(
        MemVRWarning, match=f"image data of {len(data)} bytes.*only the first"
    ) as told:
        loaded = load_image(data)
    assert told[0].filename == __file__
    assert np.abs(np.subtract(loaded.getpixel((4, 4)), RED)).max() < 6


def test_a_frame_that_the_caller_chose_is_kept_without_a_warning():
    opened = Image.open(io.BytesIO(frames("GIF")))
    opened.seek(2)
    assert load_image(opened).getpixel((4, 4)) == (0, 0, 255)


def test_the_previews_of_a_phone_jpeg_are_no_animation():
    data = encode(PICTURE, "MPO", save_all=True, append_images=[PICTURE.resize((4, 4))])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert load_image(data).size == PICTURE.size


def test_a_loaded_picture_works_after_its_file_is_closed(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(frames("GIF"))
    with Image.open(path) as opened:
        opened.load()
    assert load_image(opened).getpixel((0, 0)) == RED


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


# Data that is no image.


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "empty: 0 bytes"),
        (b"\n", "looks like text"),
        (b"just a note", "looks like text"),
        ("Grüße, 猫\n".encode() * 300, "looks like text"),
        (("a" * 1023 + "猫").encode(), "looks like text"),
        (b'{"image": 1}', "looks like text"),
        (b"<!DOCTYPE html><html>", "looks like HTML"),
        (b"\n <HTML><body>", "looks like HTML"),
        (b"\xef\xbb\xbf<html>", "looks like HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "looks like SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x --><svg/>", "looks like SVG"),
        (b"%PDF-1.7\n", "looks like PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "looks like PostScript"),
        (b"8BPS\0\1", "looks like a Photoshop file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "looks like HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "looks like HEIC"),
        (b"\0\0\0\x18ftypisom", "looks like video"),
        (b"\0\0\0\x14ftypqt  ", "looks like video"),
        (b"\x1aE\xdf\xa3webm", "looks like video"),
        (b"RIFF\0\0\0\0AVI LIST", "looks like video"),
        (b"RIFF\0\0\0\0WAVEfmt ", "looks like audio"),
        (b"\0\0\0\x18ftypM4A ", "looks like audio"),
        (b"ID3\x04\0", "looks like audio"),
        (b"OggS\0", "looks like audio"),
        (b"fLaC\0", "looks like audio"),
        (b"PK\x03\x04\x14\0", "looks like a zip archive"),
        (b"\x1f\x8b\x08\0", "looks like a gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (encode(PICTURE, "ICO"), "looks like an ICO icon"),
        (encode(PICTURE, "JPEG2000"), "looks like JPEG 2000"),
        (b"\xff\x0a\xfa", "looks like JPEG XL"),
        (encode(PICTURE, "TGA"), "no format that is known"),
        (encode(PICTURE, "PCX"), "no format that is known"),
        (bytes(100), "no format that is known"),
        (b"\xff" * 100, "no format that is known"),
        (b"\x89PNG", "no format that is known"),
        (b"BMW is a car", "begins as BMP but cannot be read"),
        (b"GIF8 is a format", "begins as GIF but cannot be read"),
        (b"P3 is a console", "begins as PPM but cannot be read"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "begins as AVIF but cannot be read"),
    ],
)
def test_what_is_no_image_is_said_to_look_like_what_it_is(tmp_path, data, match):
    assert f"image data of {len(data)} bytes" in refused(data, match)
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    assert str(path) in refused(path, match)


def survives(data: bytes) -> bool:
    """Whether `data` gives an image; fails the test if it gives neither that nor its error."""
    try:
        image = load_image(data)
    except ImageError as refusal:
        if f"image data of {len(data)} bytes" in str(refusal):
            return False
        raise
    assert image.mode == "RGB"
    assert len(image.tobytes()) == image.width * image.height * 3
    return True


@pytest.fixture
def _default_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("_default_warnings")
@pytest.mark.parametrize("kind", ENCODED)
def test_every_truncation_is_an_image_or_an_image_error(kind):
    data = ENCODED[kind]
    kept = [survives(data[:end]) for end in range(0, len(data), max(1, len(data) // 200))]
    assert not any(kept[: len(kept) // 2])


@pytest.mark.usefixtures("_default_warnings")
@pytest.mark.parametrize("kind", ENCODED)
def test_flipped_bits_are_an_image_or_an_image_error(kind):
    data, random = ENCODED[kind], np.random.default_rng(3)
    outcomes = set()
    for position in [*range(min(64, len(data))), *random.integers(0, len(data), 100)]:
        broken = bytearray(data)
        broken[position] ^= 1 << int(random.integers(8))
        outcomes.add(survives(bytes(broken)))
    assert False in outcomes


@pytest.mark.usefixtures("_default_warnings")
@pytest.mark.parametrize("kind", ENCODED)
def test_spliced_files_are_an_image_or_an_image_error(kind):
    random = np.random.default_rng(5)
    for other in ENCODED.values():
        cut = int(random.integers(4, 40))
        survives(ENCODED[kind][:cut] + other[cut:])
        survives(ENCODED[kind][:cut] + random.bytes(300))
        survives(ENCODED[kind] + other)


@pytest.mark.usefixtures("_default_warnings")
def test_a_truncated_picture_that_the_caller_opened_is_an_image_error():
    refused(Image.open(io.BytesIO(PNG[:-60])), r"size \(17, 13\) cannot be decoded.*incomplete")
    refused(Image.open(io.BytesIO(ENCODED["JPEG"][:-100])), "cannot be decoded")


def test_the_same_holds_where_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for end in range(8, len(PNG), 40):
            assert not survives(PNG[:end]) or end > len(PNG) - 20
        refused(png_claiming(9500, 9500), "max_pixels")


@pytest.mark.usefixtures("_default_warnings")
def test_many_threads_at_once_give_the_same_pictures():
    hashes: list[str] = []

    def work() -> None:
        for source in (PNG, ENCODED["BMP"], PIXELS, PICTURE):
            hashes.append(pixel_hash(load_image(source)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(hashes) == {pixel_hash(PICTURE)}
    assert len(hashes) == 32
