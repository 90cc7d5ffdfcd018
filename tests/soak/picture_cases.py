"""Pictures made to do harm: valid ones of every format, changed by chance.

Case `number` of a `seed` is always the same picture.
"""

import base64
import functools
import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pictures import chunk, encode
from PIL import Image

from memvr_integrations.backend.images import ImageSource

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ODD = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MOST = 2**20  # bytes of a changed picture


@dataclass(frozen=True, kw_only=True)
class Case:
    """A picture in the form in which it comes in."""

    about: str
    source: ImageSource


@functools.cache
def seeds() -> dict[str, bytes]:
    """Valid pictures: every format, and every way to write it that Pillow has."""
    noise = np.random.default_rng(5).integers(0, 256, (21, 34, 4), dtype=np.uint8)
    rgba = Image.fromarray(noise)
    rgb, grey, bits = rgba.convert("RGB"), rgba.convert("L"), rgba.convert("1")
    palette = rgb.quantize(31)
    deep = Image.fromarray((noise[..., 0].astype(np.uint16) << 8) + noise[..., 1])
    turned = Image.Exif()
    turned[0x0112] = 6
    more = {"save_all": True, "append_images": [rgb.rotate(180), rgb.rotate(90)]}
    exif = {"exif": turned.tobytes(), "icc_profile": bytes(range(256))}
    # Copies, for Pillow's JPEG writer leaves its settings on a picture, which others trip over.
    made = {
        f"{kind} {one.mode}": encode(one.copy(), kind, **({"speed": 10} if kind == "AVIF" else {}))
        for kind, one in _plain(rgba, grey, bits, palette)
    }
    made |= {
        "PNG 16 bits": encode(deep, "PNG"),
        "PNG with EXIF": encode(rgb, "PNG", **exif),
        "PNG clear": encode(palette, "PNG", transparency=3),
        "APNG": encode(rgb, "PNG", **more),
        "JPEG CMYK": encode(rgb.convert("CMYK"), "JPEG"),
        "JPEG with EXIF": encode(rgb.copy(), "JPEG", **exif),
        "JPEG progressive": encode(rgb.copy(), "JPEG", progressive=True),
        "MPO": encode(rgb.copy(), "MPO", save_all=True, append_images=[rgb.rotate(180)]),
        "WEBP lossless": encode(rgba, "WEBP", lossless=True, **exif),
        "WEBP animated": encode(rgb, "WEBP", **more),
        "GIF animated": encode(palette, "GIF", save_all=True, append_images=[bits], disposal=2),
        "AVIF animated": encode(rgb, "AVIF", speed=10, **more),
        "PGM 16 bits": encode(deep, "PPM"),
        "PPM as text": b"P3 34 21 255\n" + b" ".join(b"%d" % one for one in noise[..., :3].ravel()),
        "TIFF pages": encode(rgb, "TIFF", **more),
        "TIFF float": encode(grey.convert("F"), "TIFF"),
        "TIFF 16 bits": encode(deep, "TIFF"),
        "TIFF CMYK": encode(rgb.convert("CMYK"), "TIFF"),
        "TIFF LAB": encode(Image.new("LAB", (34, 21)), "TIFF"),
        "TIFF YCbCr": encode(rgb.convert("YCbCr"), "TIFF"),
    }
    for way in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        made[f"TIFF {way}"] = encode(rgb, "TIFF", compression=way)
    for way in ("group3", "group4"):
        made[f"TIFF {way}"] = encode(bits, "TIFF", compression=way)
    # Not read from data; a program may open them itself and pass the picture.
    for kind in ("ICO", "TGA", "PCX", "SGI", "DDS", "ICNS", "JPEG2000", "QOI"):
        made[kind] = encode(rgb.resize((32, 32)), kind)
    return made


def _plain(rgba: Image.Image, *others: Image.Image) -> list[tuple[str, Image.Image]]:
    rgb, (grey, bits, palette) = rgba.convert("RGB"), others
    every = {
        "PNG": (rgba, rgb, grey, bits, palette, rgba.convert("LA")),
        "JPEG": (rgb, grey),
        "WEBP": (rgba, rgb),
        "GIF": (palette, grey),
        "BMP": (rgba, rgb, grey, bits, palette),
        "TIFF": (rgba, rgb, grey, bits, palette, rgba.convert("LA")),
        "PPM": (rgb, grey, bits),
        "AVIF": (rgba, rgb),
    }
    return [(kind, image) for kind, images in every.items() for image in images]


def case(seed: int, number: int, folder: Path) -> Case:
    """A picture of a random format, changed in a few places, in a random form."""
    rng = random.Random(f"{seed}/{number}")
    if rng.random() < 0.03:
        return _array(rng)
    name = rng.choice(list(seeds()))
    data = seeds()[name]
    for _ in range(min(8, int(rng.expovariate(0.5)))):
        data = rng.choice((_bytes_changed, _bytes_changed, _parts_changed, _field_changed))(
            data, rng
        )[:_MOST]
    form = rng.choice(("bytes", "bytes", "bytes", "base64", "data URL", "path", "opened"))
    return Case(about=f"{name} as {form}", source=_FORMS[form](data, folder))


def _in_file(data: bytes, folder: Path) -> ImageSource:
    path = folder / "case"
    path.write_bytes(data)
    return path


def _data_url(data: bytes, folder: Path) -> ImageSource:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _opened(data: bytes, folder: Path) -> ImageSource:
    try:
        return Image.open(io.BytesIO(data))
    except Exception:  # as Pillow's readers do, of every type
        return data


_FORMS: dict[str, Callable[[bytes, Path], ImageSource]] = {
    "bytes": lambda data, _: data,
    "base64": lambda data, _: base64.b64encode(data).decode(),
    "data URL": _data_url,
    "path": _in_file,
    "opened": _opened,
}


def _array(rng: random.Random) -> Case:
    kinds = "u1 u2 u4 u8 i1 i2 i4 i8 f2 f4 f8 f16 c8 b1 M8[s] m8[s] O S3 U2 V4"
    kind = np.dtype(rng.choice(kinds.split()))  # type: ignore[call-overload]
    shape = [rng.choice((0, 1, 2, 3, 4, 5, 21)) for _ in range(rng.choice((0, 1, 2, 3, 3, 4)))]
    array = np.zeros(shape, kind)
    if kind.kind in "uifb" and array.size:
        odd = (0, 1, -1, 0.5, 255, 65535, float("nan"), float("inf"), 1e-40)
        with np.errstate(all="ignore"):
            array.flat[rng.randrange(array.size)] = np.float64(rng.choice(odd)).astype(kind)
    if rng.random() < 0.2:
        array = np.flip(array)
    return Case(about=f"array {kind} {shape}", source=array)


def _bytes_changed(data: bytes, rng: random.Random) -> bytes:
    out, at = bytearray(data), rng.randrange(len(data) + 1)
    end = min(len(data), at + int(rng.expovariate(0.05)) + 1)
    match rng.randrange(8):
        case 0 if at < len(data):
            out[at] ^= 1 << rng.randrange(8)
        case 1:
            del out[at:]
        case 2:
            del out[at:end]
        case 3:
            out[at:at] = out[at:end] * rng.choice((1, 2, 50))
        case 4:
            out[at:end] = bytes([rng.choice((0, 0xFF))]) * (end - at)
        case 5:
            out[at:end] = rng.randbytes(end - at)
        case 6:
            other = seeds()[rng.choice(list(seeds()))]
            out[at:] = other[rng.randrange(len(other)) :]
        case _:
            _write_odd(out, rng.randrange(min(len(out), 64) + 1), rng)
    return bytes(out)


def _write_odd(out: bytearray, at: int, rng: random.Random) -> None:
    """A length, size or offset that nobody expects, in any width and order."""
    width, order = rng.choice((1, 2, 4)), rng.choice(("big", "little"))
    value = rng.choice((*_ODD, len(out), len(out) - 1, at)) % 256**width
    out[at : at + width] = value.to_bytes(width, order)


def _field_changed(data: bytes, rng: random.Random) -> bytes:
    """A value of one of a TIFF's tags, or a number anywhere in other formats."""
    out = bytearray(data)
    if data[:4] == b"II*\0" and len(data) > 8:
        directory = struct.unpack("<I", data[4:8])[0]
        count = int.from_bytes(data[directory : directory + 2], "little")
        entry = directory + 2 + 12 * rng.randrange(count or 1)
        _write_odd(out, entry + rng.choice((0, 2, 4, 8)), rng)
    else:
        _write_odd(out, rng.randrange(len(data) + 1), rng)
    return bytes(out)


def _parts_changed(data: bytes, rng: random.Random) -> bytes:
    """Chunks, segments or boxes lost, doubled, moved or changed, with lengths and sums put right.

    Else a decoder's first check would be all that is ever tried.
    """
    parts, joined = _taken_apart(data)
    if not parts:
        return _bytes_changed(data, rng)
    at, to = rng.randrange(len(parts)), rng.randrange(len(parts))
    kind, body = parts[at]
    match rng.randrange(6):
        case 0:
            del parts[at]
        case 1:
            parts[at:at] = [parts[at]] * rng.choice((1, 2, 200))
        case 2:
            parts[at], parts[to] = parts[to], parts[at]
        case 3:
            others, _ = _taken_apart(seeds()[rng.choice(list(seeds()))])
            parts[at:at] = others[:3]
        case _:
            parts[at] = kind, _bytes_changed(body, rng)
    return joined(parts)


Parts = list[tuple[bytes, bytes]]


def _taken_apart(data: bytes) -> tuple[Parts, Callable[[Parts], bytes]]:
    if data.startswith(_SIGNATURE):
        return (
            chunks(data, 8, ">I4s", 4),
            lambda parts: (
                _SIGNATURE + b"".join(chunk(kind[:4].ljust(4, b"a"), body) for kind, body in parts)
            ),
        )
    if data[8:12] == b"WEBP":
        return chunks(data, 12, "4s<I", 0), riff
    if data[4:8] == b"ftyp":
        return _boxes(data), lambda parts: b"".join(
            struct.pack(">I", 8 + len(body)) + kind[:4].ljust(4, b"a") + body
            for kind, body in parts
        )
    if data.startswith(b"\xff\xd8"):
        return (
            _segments(data),
            lambda parts: (
                b"\xff\xd8"
                + b"".join(
                    kind + (struct.pack(">H", (len(body) + 2) % 2**16) if kind else b"") + body
                    for kind, body in parts
                )
            ),
        )
    return [], lambda parts: b""


def chunks(data: bytes, at: int, head: str, beyond: int) -> Parts:
    """The chunks of PNG (length, kind, body, sum) and RIFF (kind, length, body, padding)."""
    parts = []
    while at + 8 <= len(data):
        if head == ">I4s":
            size, kind = struct.unpack(head, data[at : at + 8])
        else:
            kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
            beyond = size % 2
        parts.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size + beyond
    return parts


def riff(parts: Parts) -> bytes:
    body = b"".join(
        kind[:4].ljust(4, b"a") + struct.pack("<I", len(one)) + one + bytes(len(one) % 2)
        for kind, one in parts
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _boxes(data: bytes) -> Parts:
    parts, at = [], 0
    while at + 8 <= len(data):
        size = max(8, int.from_bytes(data[at : at + 4], "big"))
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    return parts


def _segments(data: bytes) -> Parts:
    """What stands before a JPEG's pixels; these are a part without a mark."""
    parts, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        parts.append((data[at : at + 2], data[at + 4 : at + 2 + size]))
        at += 2 + max(2, size)
    return [*parts, (b"", data[at:])]
