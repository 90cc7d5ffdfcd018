"""Where an image comes from: files, strings, URLs, and what may not be read."""

import base64
import hashlib
import io
import os
import threading
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from pictures import (
    BASE64,
    BLACK,
    LOSSLESS,
    PICTURE,
    PIXELS,
    PNG,
    refused,
    same,
)
from PIL import Image

from memvr_integrations.backend.images import ImagePolicy, load_image, pixel_hash, read_image
from memvr_integrations.backend.images import sources as images
from memvr_integrations.errors import ImageError

SOURCES = {
    "bytes": PNG,
    "bytearray": bytearray(PNG),
    "memoryview": memoryview(PNG),
    "part of a memoryview": memoryview(PNG + PNG)[: len(PNG)],
    "Pillow": PICTURE,
    "Pillow opened lazily": Image.open(io.BytesIO(PNG)),
    "Pillow with opaque alpha": PICTURE.convert("RGBA"),
    "uint8": PIXELS,
    "uint16": PIXELS.astype(np.uint16) * 257,
    "uint16 of the other endianness": PIXELS.astype(">u2") * 257,
    "float64": PIXELS / 255,
    "float32": (PIXELS / 255).astype(np.float32),
    "columns first": np.asfortranarray(PIXELS),
    "negative strides": np.ascontiguousarray(PIXELS[::-1])[::-1],
    "opaque alpha": np.dstack([PIXELS, np.full((13, 17), 255, np.uint8)]),
    "base64": BASE64,
    "base64 without padding": BASE64.rstrip("="),
    "base64 in spaces": f"\n {BASE64} ",
    "base64 in lines": "\r\n".join(BASE64[i : i + 76] for i in range(0, len(BASE64), 76)),
    "URL-safe base64": base64.urlsafe_b64encode(PNG).decode(),
    "data URL": f"data:image/png;base64,{BASE64}",
    "loud data URL": f"DATA:IMAGE/PNG;charset=utf-8;BASE64,{BASE64}",
    "data URL without media type": f"data:;base64,{BASE64}",
    "data URL with a wrong media type": f"data:image/jpeg;base64,{BASE64}",
    "data URL of a text": f"data:text/plain;base64,{BASE64}",
    "data URL of a PDF": f"data:application/pdf;base64,{BASE64}",
    "data URL of any file": f"data:application/octet-stream;base64,{BASE64}",
    "data URL of any file's bytes": f"data:application/octet-stream,{quote(PNG, safe='')}",
    "data URL without a semicolon": f"data:base64,{BASE64}",
    "data URL with quoted base64": f"data:image/png;base64,{quote(BASE64, safe='')}",
    "data URL without base64": f"data:image/png,{quote(PNG, safe='')}",
    **LOSSLESS,
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_one_picture_has_one_hash_however_it_comes(source):
    image = load_image(source)
    assert image.mode == "RGB"
    assert pixel_hash(image) == pixel_hash(PICTURE)


@pytest.mark.parametrize("name", ["cat.png", "cat.jpg", "cat", "cät 猫.PNG", "cat.txt"])
def test_a_path_is_read_whatever_its_extension(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(PNG)
    assert pixel_hash(load_image(path)) == pixel_hash(PICTURE)


def test_a_url_goes_through_download_with_the_policy(monkeypatch):
    seen = []
    monkeypatch.setattr(images, "download", lambda *call: seen.append(call) or PNG)
    policy = ImagePolicy(allowed_hosts=("example.org",))
    image = load_image(" https://example.org/cat.png\n", policy)
    assert pixel_hash(image) == pixel_hash(PICTURE)
    assert seen == [("https://example.org/cat.png", policy)]


def test_urls_are_off_by_default():
    message = refused("\n https://example.org/cat.png?key=secret", "allowed_hosts")
    assert "ImagePolicy(allowed_hosts=['example.org'])" in message
    assert "secret" not in message


def test_a_downloaded_page_is_refused_by_content(monkeypatch):
    monkeypatch.setattr(images, "download", lambda *_: b"<!DOCTYPE html><title>404</title>")
    message = refused("\n https://example.org/a.png?key=secret", "looks like HTML")
    assert "URL 'https://example.org/a.png'" in message
    assert "secret" not in message


def test_pixel_hash_differs_by_sizes_and_pixels():
    changed = PICTURE.copy()
    changed.putpixel((3, 3), (1, 2, 3))
    turned = Image.frombytes("RGB", (PICTURE.height, PICTURE.width), PICTURE.tobytes())
    assert len({pixel_hash(each) for each in (PICTURE, changed, turned)}) == 3
    assert pixel_hash(PICTURE) == pixel_hash(PICTURE.copy())
    with pytest.raises(ImageError, match="load_image before pixel_hash"):
        pixel_hash(PICTURE.convert("L"))


def test_a_hash_is_that_of_all_pixels_at_once():
    tall = PICTURE.resize((3, 200))
    expected = hashlib.sha256(b"3x200:" + tall.tobytes())
    assert pixel_hash(tall) == expected.hexdigest()


def test_a_picture_that_was_read_is_not_read_again():
    read = read_image(PNG)
    assert read.hash == pixel_hash(PICTURE)
    assert read_image(read) is read
    assert load_image(read) is read.pixels
    refused(read, "above max_pixels=10", ImagePolicy(max_pixels=10))


def test_pixels_that_are_right_already_are_not_copied(monkeypatch):
    def never(*_, **__):
        raise AssertionError("a copy")

    for name in ("copy", "convert", "transpose"):
        monkeypatch.setattr(Image.Image, name, never)
    image = load_image(PNG)
    assert type(image) is Image.Image  # no decoder, which would keep the file's bytes
    assert image.format is None


def test_the_result_shares_nothing_with_the_source():
    array, picture = PIXELS.copy(), PICTURE.copy()
    from_array, from_picture = load_image(array), load_image(picture)
    array[:] = 0
    picture.paste(BLACK, (0, 0, 17, 13))
    assert same(from_array, PIXELS)
    assert same(from_picture, PIXELS)


# Strings are never paths.


@pytest.mark.parametrize("name", ["cat.png", "cat", "catsdogs", "a/cat.png"])
def test_a_string_is_never_read_as_a_path(tmp_path, monkeypatch, name):
    (tmp_path / "a").mkdir()
    (tmp_path / name).write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    for text in (name, str(tmp_path / name), f"file://{tmp_path / name}", f"./{name}"):
        assert repr(text[:40])[:-1] in refused(text, r"pathlib\.Path")


def test_a_file_url_points_below_an_allowed_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.png").write_bytes(PNG)
    (tmp_path / "out.png").write_bytes(PNG)
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out.png")
    policy = ImagePolicy(image_dirs=(tmp_path / "in",))
    assert load_image((tmp_path / "in" / "a b.png").as_uri(), policy).size == (17, 13)
    inside = (tmp_path / "in").as_uri()
    for url in (
        (tmp_path / "out.png").as_uri(),
        f"{inside}/../out.png",
        f"{inside}/%2e%2e/out.png",
        f"{inside}/link.png",
        f"{inside}-more/a.png",
    ):
        refused(url, "image_dirs", policy)
    refused((tmp_path / "in" / "a b.png").as_uri(), r"image_dirs=\(\)")
    refused(f"file://example.org{tmp_path}/in/a.png", "names the host", policy)
    refused(f"{inside}/none.png", "cannot be read", policy)


@pytest.mark.parametrize(
    "text",
    [
        *("/etc/hostname", "/etc/passwd", "~/cat.png", "..", ".", "C:\\cat.png", "\\\\host\\share"),
        *("file:/etc/passwd", "file:///etc/passwd", "FILE:///etc/passwd", "file://host/a.png"),
        *("ftp://h/a.png", "s3://bucket/a.png", "jar:file:///a!/b", "javascript:alert(1)"),
        *("A cat on a mat.", "null", "None", "a\0b", "ä", "\udc80", "=", "====", "a", "AAAAA"),
    ],
)
def test_other_strings_are_refused_with_the_way_out(text):
    refused(text, r"pathlib\.Path")


@pytest.mark.parametrize("scheme", ["ftp", "s3"])
def test_other_schemes_are_named(scheme):
    refused(f" {scheme}://host/a.png", f"scheme '{scheme}'")


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "data:image/png;base64,", "data:,", "data:image/png,"]
)
def test_empty_strings(text):
    refused(text, "empty")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        (f"data:text/html,{quote('<html>')}", "looks like HTML"),
        (f"data:image/png,{quote('%PDF-1.7')}", "looks like PDF"),
        ("data:application/octet-stream;base64,UEsDBAAA", "looks like a zip archive"),
        (f"data:application/octet-stream,{BASE64}", "looks like text"),
        (f"data:image/png;base64{BASE64}", "no comma"),
        ("data:", "no comma"),
        ("data:image/png;base64,!!!!", "not valid base64"),
        ("data:image/png;base64,é", "not valid base64"),
        ("data:image/png;base64,\udc80", "data URL"),
        ("data:image/png,hello", "looks like text"),
        ("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E", "looks like SVG"),
        ("data:image/heic;base64,AAAAGGZ0eXBoZWljAAAAAA==", "looks like HEIC"),
    ],
)
def test_data_urls_that_hold_no_image(url, match):
    assert "data URL" in refused(url, match)


# Files.


def test_files_that_cannot_be_read(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, match in (
        (tmp_path, "directory"),
        (tmp_path / "missing.png", "cannot be read.*No such file"),
        (tmp_path / "missing" / "a.png", "cannot be read"),
        (loop, "cannot be read"),
        (Path("a\0b"), "cannot be read"),
        (Path("a" * 5000), "cannot be read"),
        (Path("/dev/zero"), "device"),
        (Path("/dev/null"), "device"),
        (Path("/proc/self/status"), "empty"),
        (Path(""), "directory"),
    ):
        message = refused(path, match)
        assert repr(str(path)[:200]) in message
        assert len(message) < 500


def test_a_url_in_a_circle_of_links_is_an_image_error(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refused(loop.as_uri(), "loop", ImagePolicy(image_dirs=[tmp_path]))
    message = refused(f"{tmp_path.as_uri()}/{'a' * 5000}", "cannot be read|no folder of")
    assert len(message) < 500


def test_a_file_without_permission_is_an_image_error(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)

    def deny(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    refused(path, "Permission denied.*permissions")


def test_a_pipe_never_blocks(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    outcome: list[str] = []
    thread = threading.Thread(
        target=lambda: outcome.append(refused(pipe, "a device or a pipe;")), daemon=True
    )
    thread.start()
    thread.join(5)
    assert outcome


def test_a_pipe_that_takes_the_place_of_a_checked_file_never_blocks(tmp_path, monkeypatch):
    pipe, file = tmp_path / "pipe.png", tmp_path / "file.png"
    os.mkfifo(pipe)
    file.write_bytes(PNG)
    good = file.stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: good)
    outcome: list[str] = []
    thread = threading.Thread(
        target=lambda: outcome.append(refused(pipe, "a device or a pipe;")), daemon=True
    )
    thread.start()
    thread.join(5)
    assert outcome


def test_a_large_file_is_refused_before_it_is_opened(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(21 * 2**20)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    refused(path, f"{21 * 2**20} bytes, above max_bytes={20 * 2**20}")


# Limits.


def test_the_byte_limit_holds_for_every_encoded_source(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    exact = ImagePolicy(max_bytes=len(PNG))
    under = ImagePolicy(max_bytes=len(PNG) - 1)
    for source in (path, PNG, BASE64, f"data:image/png;base64,{BASE64}", f"data:,{quote(PNG)}"):
        assert load_image(source, exact).size == PICTURE.size
        refused(source, f"{len(PNG)} bytes, above max_bytes={len(PNG) - 1}", under)


def test_a_huge_string_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(base64, "b64decode", lambda *_, **__: pytest.fail("decoded"))
    refused("A" * 4000, "max_bytes=1000", ImagePolicy(max_bytes=1000))
