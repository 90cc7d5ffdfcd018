"""Every way an image comes in: a file, encoded bytes, a string, a Pillow image, an array.

What leaves is always the same: a fresh RGB image, upright and fully decoded. The kind of data
is read from its first bytes, never from a file name or a media type, and the size limits are
checked before a pixel is decoded.

- A plain string is a data: URL, an http(s) URL or base64, never a path: strings come out of
  messages, and a message must not be able to read files. `pathlib.Path` says that you mean it.
- A page of a PDF is a path that says which: `Path("report.pdf#page=3")`.
- Transparent pixels show white. Colour profiles are ignored. 16-bit values are scaled.
- ICO is not read: Pillow decodes it while opening, before a limit could act.
"""

import base64
import hashlib
import io
import os
import stat
import warnings
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image

from memvr_integrations.backend.images.fetch import download, shown_url
from memvr_integrations.backend.images.pdf import page_of, render_page
from memvr_integrations.backend.images.pixels import (
    MediaType,
    check_size,
    decode,
    from_array,
    open_image,
    plain_media,
    shows_first_of_many,
)
from memvr_integrations.errors import ImageError, MemVRWarning
from memvr_integrations.types import ReadImage
from memvr_integrations.types.image_policy import ImagePolicy

__all__ = [
    "DEFAULT_POLICY",
    "ImagePolicy",
    "ImageSource",
    "encoded_image",
    "load_image",
    "pixel_hash",
    "read_image",
]

ImageSource: TypeAlias = (
    Path | bytes | bytearray | memoryview | str | Image.Image | npt.NDArray[np.generic] | ReadImage
)

DEFAULT_POLICY = ImagePolicy()
_SHOWN = 200  # characters of a name in an error
_ROWS = 64  # hashed at a time: as many fit into a processor's cache


def load_image(source: ImageSource, policy: ImagePolicy = DEFAULT_POLICY) -> Image.Image:
    """Take in an image and give it as RGB: a new image, upright, decoded, on white.

    A `ReadImage` gives the one that it holds, if the policy lets it in.

    Arrays are (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): uint8, uint16, bool, or floats in
    0..1. Of an animation the first frame is taken, with a MemVRWarning. ImageError names the
    source, and says what is wrong with it or which limit of `policy` it breaks.
    """
    name = _name(source)
    return _pixels(source, _opened(source, name, policy), name, policy)


def encoded_image(
    source: ImageSource, policy: ImagePolicy = DEFAULT_POLICY
) -> tuple[bytes, MediaType]:
    """Take in an image as `load_image` does, and give it as a file that every model reads.

    A JPEG or PNG stays as it is where nobody has to know of EXIF, transparency or further frames to
    see it right. Anything else becomes a PNG, written fast and not small.
    """
    name = _name(source)
    if isinstance(source, np.ndarray | Image.Image | ReadImage) or _is_page(source):
        data, media, opened = b"", None, _opened(source, name, policy)
    else:
        data = _read(source, name, policy)
        opened = open_image(data, name)
        check_size(opened.size, name, policy)
        media = plain_media(opened)
    pixels = _pixels(source, opened, name, policy)
    if media is not None:
        return data, media
    buffer = io.BytesIO()
    pixels.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue(), "image/png"


def _opened(source: ImageSource, name: str, policy: ImagePolicy) -> Image.Image:
    if isinstance(source, np.ndarray):
        return from_array(source, name, policy)
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, ReadImage):
        return source.pixels
    if isinstance(source, Path) and (page := page_of(source)):
        file, number = page
        return render_page(read_file(file, policy), number, name, policy)
    return open_image(_read(source, name, policy), name)


def _is_page(source: ImageSource) -> bool:
    return isinstance(source, Path) and page_of(source) is not None


def _pixels(
    source: ImageSource, opened: Image.Image, name: str, policy: ImagePolicy
) -> Image.Image:
    check_size(opened.size, name, policy)
    if isinstance(source, ReadImage):
        return opened
    animated = shows_first_of_many(opened)
    pixels = decode(opened, name, own=opened is not source)
    if animated:
        warnings.warn(
            f"{name} has more than one frame or page; only the first is used. "
            "Pass the others one by one as Pillow images.",
            MemVRWarning,
            stacklevel=3,
        )
    return pixels


def read_image(source: ImageSource, policy: ImagePolicy = DEFAULT_POLICY) -> ReadImage:
    """`load_image` and `pixel_hash`, for a picture that is asked about several times."""
    pixels = load_image(source, policy)
    if isinstance(source, ReadImage):
        return source
    return ReadImage(pixels, pixel_hash(pixels))


def path_or_data(source: ImageSource) -> ImageSource:
    """What a program, not a message, means by a string: a file, unless it is a data URL.

    Raises:
        ImageError: It is the URL of a server.
    """
    if not isinstance(source, str):
        return source
    begin = source.lstrip()[:8].lower()
    if begin.startswith(("http:", "https:")):
        raise ImageError(
            f"{source[:200]!r} is a URL; put it into a message as it is, with its host allowed "
            "(image_policy=ImagePolicy(allowed_hosts=[...])), or download it and pass the bytes."
        )
    return source if begin.startswith("data:") else Path(source)


def pixel_hash(image: Image.Image) -> str:
    """Give the SHA-256 of an image's size and RGB values, in hex; ImageError if it is not RGB."""
    if image.mode != "RGB":
        raise ImageError(f"{_name(image)} is not RGB; pass it through load_image before pixel_hash")
    digest = hashlib.sha256(f"{image.width}x{image.height}:".encode())
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        digest.update(rows.tobytes())
    return digest.hexdigest()


def _name(source: object) -> str:
    match source:
        case Path():
            return f"file {str(source)[:_SHOWN]!r}"
        case bytes() | bytearray() | memoryview():
            return f"image data of {memoryview(source).nbytes} bytes"
        case ReadImage():
            return f"picture {source.hash[:12]} of size {source.pixels.size}"
        case Image.Image():
            return f"Pillow image of mode {source.mode} and size {source.size}"
        case np.ndarray():
            return f"{source.dtype} array of shape {source.shape}"
        case str() if _scheme(source) in ("http", "https"):
            return f"URL {shown_url(source.strip())}"
        case str() if _scheme(source) == "file":
            return f"URL {source.strip()[:_SHOWN]!r}"
        case str() if _scheme(source) == "data":
            return f"data URL {source.strip()[:40]!r}"
        case str():
            return (
                f"string {source.strip()[:40]!r} (read as base64, never as a path: "
                "for a file pass pathlib.Path(...))"
            )
    return f"object of type {type(source).__name__}"


def _scheme(text: str) -> str:
    head, colon, _ = text.lstrip()[:64].partition(":")
    return head.lower() if colon else ""


def _read(source: object, name: str, policy: ImagePolicy) -> bytes:
    match source:
        case Path():
            data = _read_file(source, name, policy)
        case bytes() | bytearray() | memoryview():
            data = bytes(source)
        case str():
            data = _read_text(source.strip(), name, policy)
        case _:
            raise ImageError(
                f"{name} is not an image; pass a pathlib.Path, encoded bytes, a data: or https "
                "URL, base64, a Pillow image or a numpy array (a tensor: tensor.numpy())"
            )
    _check_bytes(len(data), name, policy)
    return data


def _check_bytes(size: int, name: str, policy: ImagePolicy) -> None:
    if size == 0:
        raise ImageError(f"{name} is empty: 0 bytes; check what wrote it")
    if size > policy.max_bytes:
        raise ImageError(
            f"{name} holds {size} bytes, above max_bytes={policy.max_bytes}; "
            "make the image smaller, or raise ImagePolicy.max_bytes"
        )


def read_file(path: Path, policy: ImagePolicy) -> bytes:
    """The bytes of a regular file that is no larger than the policy lets in."""
    return _read_file(path, _name(path), policy)


def _read_file(path: Path, name: str, policy: ImagePolicy) -> bytes:
    def check(status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name} is a directory, a device or a pipe; pass a regular file")
        _check_bytes(status.st_size, name, policy)

    def open_without_waiting(file: str, flags: int) -> int:
        return os.open(file, flags | getattr(os, "O_NONBLOCK", 0))

    try:
        # Opening a device can already act on it, hence the first check; the second holds for
        # what was opened, should the name have changed hands in between.
        check(path.stat())
        with open(path, "rb", opener=open_without_waiting) as file:
            check(os.fstat(file.fileno()))
            return file.read(policy.max_bytes + 1)
    except ImageError:
        raise
    except (OSError, ValueError) as problem:
        raise ImageError(
            f"{name} cannot be read: {_reason(problem)}; check the path and its permissions"
        ) from problem


def _read_text(text: str, name: str, policy: ImagePolicy) -> bytes:
    scheme = _scheme(text)
    if scheme in ("http", "https"):
        return download(text, policy)
    # Percent-encoding takes three characters for a byte, and is the longest way to write one.
    _check_bytes(max(1, len(text) // 3), name, policy)
    if scheme == "data":
        return _read_data_url(text, name)
    if scheme == "file":
        return _read_file(_allowed_file(text, name, policy), name, policy)
    if scheme:
        raise ImageError(
            f"{name} has the scheme {scheme!r}; only data:, https: and file: URLs are read"
        )
    return _read_base64(text, name)


def _allowed_file(url: str, name: str, policy: ImagePolicy) -> Path:
    """The file of a file:// URL, links resolved, if it lies in a folder that the policy names."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ImageError(
            f"{name} names the host {parts.netloc!r}; write file:///path, or pass a pathlib.Path"
        )
    try:
        path = Path(unquote(parts.path)).resolve()
        folders = [Path(folder).resolve() for folder in policy.image_dirs]
    except (OSError, ValueError, RuntimeError) as problem:  # the last for links in a circle
        raise ImageError(f"{name} cannot be read: {_reason(problem)}; check the path") from problem
    if not any(path.is_relative_to(folder) for folder in folders):
        raise ImageError(
            f"{name} is not read: it lies in no folder of "
            f"image_dirs={tuple(map(str, policy.image_dirs))}; allow its folder, or pass a "
            "pathlib.Path or the bytes of the image"
        )
    return path


def _reason(problem: Exception) -> str:
    """What the system says, without the path, which may be as long as a message."""
    return (isinstance(problem, OSError) and problem.strerror) or str(problem)[:_SHOWN]


def _read_data_url(url: str, name: str) -> bytes:
    head, comma, body = url.partition(":")[2].partition(",")
    if not comma:
        raise ImageError(f"{name} has no comma before its data; it may have been cut off")
    try:
        data = unquote_to_bytes(body)
    except UnicodeEncodeError as problem:
        raise ImageError(f"{name} is not text: {problem}") from problem
    encoded = "base64" in (part.strip().lower() for part in head.split(";"))
    return _read_base64(data.decode("latin-1"), name) if encoded else data


def _read_base64(text: str, name: str) -> bytes:
    compact = "".join(text.split()).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError as problem:
        raise ImageError(f"{name} is not valid base64: {problem}") from problem
