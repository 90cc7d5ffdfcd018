"""What is no image, and images that are damaged: each gives an image or its error."""

import io
import threading
import warnings

import numpy as np
import pytest
from pictures import ENCODED, PICTURE, PIXELS, PNG, encode, png_claiming, refused
from PIL import Image

from memvr_integrations.backend.images import load_image, pixel_hash
from memvr_integrations.errors import ImageError

# What is no image.


@pytest.mark.parametrize(
    "source", [None, 7, [1, 2], {"url": "x"}, io.BytesIO(PNG), object, "x".encode]
)
def test_other_types_are_refused_with_the_list_of_what_works(source):
    assert type(source).__name__ in refused(source, r"pathlib\.Path.*numpy")


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


# Damage.


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


def test_what_a_decoder_quotes_is_cut(monkeypatch):
    def quote(file, name):
        raise SyntaxError(file.read(4000))

    monkeypatch.setitem(Image.OPEN, "TIFF", (quote, None))
    said = refused(b"II*\0" + bytes(5000), "begins as TIFF but cannot be read")
    assert len(said) < 600
