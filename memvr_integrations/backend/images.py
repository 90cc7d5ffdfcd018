"""Every way an image comes in: a file, encoded bytes, a string, a Pillow image, an array.

What leaves is always the same: a fresh RGB image, upright and fully decoded. The kind of data
is read from its first bytes, never from a file name or a media type, and the size limits are
checked before a pixel is decoded.

- A plain string is a data: URL, an http(s) URL or base64, never a path: strings come out of
  messages, and a message must not be able to read files. `pathlib.Path` says that you mean it.
- Transparent pixels show white. Colour profiles are ignored. 16-bit values are scaled.
- ICO is not read: Pillow decodes it while opening, before a limit could act.
"""

import base64
import codecs
import hashlib
import io
import os
import re
import stat
import warnings
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from memvr_integrations.backend.fetch import download, shown_url
from memvr_integrations.errors import ImageError, MemVRWarning
from memvr_integrations.policy import ImagePolicy

__all__ = ["DEFAULT_POLICY", "ImagePolicy", "ImageSource", "load_image", "pixel_hash"]

ImageSource: TypeAlias = (
    Path | bytes | bytearray | memoryview | str | Image.Image | npt.NDArray[np.generic]
)

DEFAULT_POLICY = ImagePolicy()

# An encoder writes about ten. Each may take 75 bytes and cost a pass over all pixels, so
# max_bytes alone would let a file through that decodes for hours.
_MAX_JPEG_SCANS = 100
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# The first match wins, so a brand stands before the container that it is a case of.
_SIGNATURES: tuple[tuple[str, int, tuple[bytes, ...]], ...] = (
    ("PNG", 0, (b"\x89PNG\r\n\x1a\n",)),
    ("JPEG", 0, (b"\xff\xd8\xff",)),
    ("WEBP", 8, (b"WEBP",)),
    ("GIF", 0, (b"GIF8",)),
    ("BMP", 0, (b"BM",)),
    ("TIFF", 0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("PPM", 0, tuple(b"P%d%c" % (digit, space) for digit in range(1, 7) for space in b"\n\r\t ")),
    ("AVIF", 4, (b"ftypavi",)),
    ("HEIC", 4, (b"ftyphe", b"ftypmif1", b"ftypmsf1")),
    ("audio", 4, (b"ftypM4A",)),
    ("audio", 8, (b"WAVE",)),
    ("audio", 0, (b"ID3", b"\xff\xfb", b"OggS", b"fLaC")),
    ("video", 4, (b"ftyp",)),
    ("video", 8, (b"AVI ",)),
    ("video", 0, (b"\x1aE\xdf\xa3", b"\0\0\x01\xba")),
    ("an ICO icon", 0, (b"\0\0\x01\0",)),
    ("PDF", 0, (b"%PDF",)),
    ("PostScript", 0, (b"%!PS",)),
    ("a Photoshop file", 0, (b"8BPS",)),
    ("JPEG 2000", 0, (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")),
    ("JPEG XL", 0, (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    ("a zip archive or an office document", 0, (b"PK\x03\x04",)),
    ("a gzip archive", 0, (b"\x1f\x8b",)),
    ("a Git LFS pointer, not the file itself", 0, (b"version https://git-lfs",)),
)


def load_image(source: ImageSource, policy: ImagePolicy = DEFAULT_POLICY) -> Image.Image:
    """Take in an image and give it as RGB: a new image, upright, decoded, on white.

    Arrays are (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): uint8, uint16, bool, or floats in
    0..1. Of an animation the first frame is taken, with a MemVRWarning. ImageError names the
    source, and says what is wrong with it or which limit of `policy` it breaks.
    """
    name = _name(source)
    if isinstance(source, np.ndarray):
        opened = _from_array(source, name, policy)
    elif isinstance(source, Image.Image):
        opened = source
    else:
        opened = _open(_read(source, name, policy), name)
    _check_size(opened.size, name, policy)
    animated = _shows_first_of_many(opened)
    pixels = _decode(opened, name)
    if animated:
        warnings.warn(
            f"{name} has more than one frame or page; only the first is used. "
            "Pass the others one by one as Pillow images.",
            MemVRWarning,
            stacklevel=2,
        )
    return pixels


def pixel_hash(image: Image.Image) -> str:
    """Give the SHA-256 of an image's size and RGB values, in hex; ImageError if it is not RGB."""
    if image.mode != "RGB":
        raise ImageError(f"{_name(image)} is not RGB; pass it through load_image before pixel_hash")
    digest = hashlib.sha256(f"{image.width}x{image.height}:".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def _name(source: object) -> str:
    match source:
        case Path():
            return f"file {str(source)!r}"
        case bytes() | bytearray() | memoryview():
            return f"image data of {memoryview(source).nbytes} bytes"
        case Image.Image():
            return f"Pillow image of mode {source.mode} and size {source.size}"
        case np.ndarray():
            return f"{source.dtype} array of shape {source.shape}"
        case str() if _scheme(source) in ("http", "https"):
            return f"URL {shown_url(source.strip())}"
        case str() if _scheme(source) == "file":
            return f"URL {source.strip()[:200]!r}"
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
            f"{name} cannot be read: {problem}; check the path and its permissions"
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
        folders = [folder.resolve() for folder in policy.image_dirs]
    except (OSError, ValueError) as problem:
        raise ImageError(f"{name} cannot be read: {problem}; check the path") from problem
    if not any(path.is_relative_to(folder) for folder in folders):
        raise ImageError(
            f"{name} is not read: it lies in no folder of "
            f"image_dirs={tuple(map(str, policy.image_dirs))}; allow its folder, or pass a "
            "pathlib.Path or the bytes of the image"
        )
    return path


def _read_data_url(url: str, name: str) -> bytes:
    head, comma, body = url.partition(":")[2].partition(",")
    if not comma:
        raise ImageError(f"{name} has no comma before its data; it may have been cut off")
    media, *parameters = (part.strip().lower() for part in head.split(";"))
    if media and not media.startswith("image/"):
        raise ImageError(f"{name} has the media type {media!r}; only image/* can be an image")
    try:
        data = unquote_to_bytes(body)
    except UnicodeEncodeError as problem:
        raise ImageError(f"{name} is not text: {problem}") from problem
    return _read_base64(data.decode("latin-1"), name) if "base64" in parameters else data


def _read_base64(text: str, name: str) -> bytes:
    compact = "".join(text.split()).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError as problem:
        raise ImageError(f"{name} is not valid base64: {problem}") from problem


def _kind(data: bytes) -> str:
    for kind, offset, magics in _SIGNATURES:
        if data.startswith(magics, offset):
            # A "mif1" container holds either; the brands it is compatible with tell which.
            return "AVIF" if kind == "HEIC" and b"avif" in data[8:64] else kind
    try:
        # Incremental, because the cut may fall inside a character.
        head = codecs.getincrementaldecoder("utf-8-sig")().decode(data[:1024]).lower()
    except UnicodeDecodeError:
        head = "\0"
    if "<svg" in head:
        return "SVG"
    if head.lstrip().startswith(("<!doctype html", "<html")):
        return "HTML"
    return "text" if "".join(head.split()).isprintable() else "no format that is known here"


def _jpeg_scans(data: bytes) -> int:
    scans, position = 0, 2
    while marker := _JPEG_MARKER.search(data, position):
        kind, position = marker[0][1], marker.end()
        # Phones append videos behind the end: what looks like a scan there is none.
        if kind == 0xD9 or scans > _MAX_JPEG_SCANS:
            break
        scans += kind == 0xDA
        position += int.from_bytes(data[position : position + 2], "big")
    return scans


def _open(data: bytes, name: str) -> Image.Image:
    kind = _kind(data)
    if kind not in _FORMATS:
        raise ImageError(f"{name} looks like {kind}; convert it to one of {', '.join(_FORMATS)}")
    if kind == "JPEG" and _jpeg_scans(data) > _MAX_JPEG_SCANS:
        raise ImageError(
            f"{name} is a JPEG of more than {_MAX_JPEG_SCANS} scans, made to stall a decoder; "
            "save it again as a baseline JPEG"
        )
    Image.init()
    try:
        # Image.open would report a bomb through the process-wide warning filters, which no
        # thread can change safely; max_pixels is checked next, on the size in the header.
        factory, _ = Image.OPEN[kind]
        return factory(io.BytesIO(data), "")
    # Damaged data makes Pillow's decoders raise nearly every type there is.
    except Exception as problem:
        raise ImageError(
            f"{name} begins as {kind} but cannot be read ({problem!r}): "
            "it is damaged or incomplete; get it again"
        ) from problem


def _check_size(size: tuple[int, int], name: str, policy: ImagePolicy) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels: {width} x {height}")
    if width * height > policy.max_pixels:
        raise ImageError(
            f"{name} has {width} x {height} pixels, above max_pixels={policy.max_pixels}; "
            "scale it down, or raise ImagePolicy.max_pixels"
        )
    if max(size) > policy.max_aspect * min(size):
        raise ImageError(
            f"{name} has {width} x {height} pixels, longer than max_aspect={policy.max_aspect} "
            "to 1; crop it, or raise ImagePolicy.max_aspect"
        )


def _shows_first_of_many(image: Image.Image) -> bool:
    # The further pictures of an MPO are previews and gain maps: a phone's usual JPEG.
    if image.format == "MPO" or image.tell() > 0:
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    # A broken or closed second frame must not cost us the first.
    except Exception:
        return False


def _decode(opened: Image.Image, name: str) -> Image.Image:
    try:
        opened.load()
        upright = _upright(opened, name)
        if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
            upright = _from_deep(upright, name)
        return _flatten(upright)
    except (ImageError, MemVRWarning):
        raise
    # As in _open: Pillow raises nearly every type there is.
    except Exception as problem:
        raise ImageError(
            f"{name} cannot be decoded ({problem!r}): it is damaged or incomplete; get it again"
        ) from problem


def _upright(image: Image.Image, name: str) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # The pixels are good, so unreadable EXIF is no reason to refuse them.
    except Exception as problem:
        warnings.warn(
            f"{name} has unreadable EXIF data ({problem!r}); it is taken as upright",
            MemVRWarning,
            stacklevel=4,
        )
        return image.copy()


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(clear, mask=clear.getchannel("A"))
    return white


def _from_array(array: npt.NDArray[np.generic], name: str, policy: ImagePolicy) -> Image.Image:
    shape = array.shape[:2] if array.ndim == 3 and array.shape[2] == 1 else array.shape
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (3, 4):
        raise ImageError(f"{name} is channel-first; pass array.transpose(1, 2, 0)")
    if len(shape) not in (2, 3) or shape[2:] not in ((), (3,), (4,)):
        raise ImageError(f"{name} is not (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    _check_size((shape[1], shape[0]), name, policy)
    return Image.fromarray(_eight_bits(array.reshape(shape), name))


def _eight_bits(values: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.uint8]:
    """Scale the full range of `values` to 0..255: clipping would turn 16-bit images white."""
    match values.dtype.kind, values.dtype.itemsize:
        case "u", 1:
            return np.ascontiguousarray(values, dtype=np.uint8)
        case "b", _:
            return values.astype(np.uint8) * np.uint8(255)
        case "u", 2:
            return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
        case "f", _:
            low, high = values.min(), values.max()
            # Written so that NaN fails it too.
            if not (low >= 0 and high <= 1):
                raise ImageError(
                    f"{name} has values from {low} to {high}; floats must lie in 0..1: "
                    "divide by the largest possible value, or pass uint8"
                )
            return np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    raise ImageError(
        f"{name} has a dtype that is not read; pass uint8, uint16, bool or floats in 0..1"
    )


def _from_deep(image: Image.Image, name: str) -> Image.Image:
    values: npt.NDArray[np.generic] = np.asarray(image)
    if image.mode == "I":
        # Pillow's 32-bit mode is where it puts the 16-bit values of PGM and of older PNGs.
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(
                f"{name} has values from {values.min()} to {values.max()}; "
                "mode I is read as 0..65535: scale them to that range"
            )
        values = values.astype(np.uint16)
    return Image.fromarray(_eight_bits(values, name))
