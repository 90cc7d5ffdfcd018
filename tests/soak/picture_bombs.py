"""Pictures made to stall or fill a machine, by kind and name; each is made when it is wanted."""

import struct
import zlib
from collections.abc import Callable

from picture_cases import chunks, riff, seeds
from pictures import chunk, encode, png_claiming
from PIL import Image

_LARGE_FRAME = b"GIF89a\1\0\1\0\0\0\0," + bytes(4) + b"\xe0\x2e" * 2 + b"\0\2\2\x44\1\0;"
_SIDE, _HUGE_SIDE = 7000, 12_000  # pixels; squares just within max_pixels, and well above


def _resized(name: str, mark: bytes, beyond: int, form: str) -> bytes:
    """A valid picture whose header gives another size, at so many bytes after a mark."""
    out = bytearray(seeds()[name])
    struct.pack_into(form, out, out.index(mark) + beyond, _HUGE_SIDE, _HUGE_SIDE)
    return bytes(out)


def _large_tiff() -> bytes:
    out = bytearray(seeds()["TIFF RGB"])
    entries = struct.unpack("<I", out[4:8])[0] + 2
    for tag in range(2):  # width and length come first
        struct.pack_into("<HII", out, entries + 12 * tag + 2, 4, 1, _HUGE_SIDE)
    return bytes(out)


def _png(inner: bytes, at: int = 33) -> bytes:
    png = seeds()["PNG RGB"]
    return png[:at] + inner + png[at:]


def _jpeg(inner: bytes, at: int = 2) -> bytes:
    jpeg = seeds()["JPEG progressive"]
    return jpeg[:at] + inner + jpeg[at:]


def _scans(size: int) -> bytes:
    jpeg = seeds()["JPEG progressive"]
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return _jpeg(scan * (size // len(scan)), len(jpeg) - 2)


def _gif(inner: bytes) -> bytes:
    gif = seeds()["GIF L"]
    after_palette = 13 + (6 << (gif[10] & 7))
    return gif[:after_palette] + inner + gif[after_palette:]


def _gif_frames(size: int) -> bytes:
    gif = seeds()["GIF L"]
    frame = _gif(b"")[13 + (6 << (gif[10] & 7)) : -1]
    return _gif(frame * (size // len(frame)))


def _run_lengths(runs: bytes) -> bytes:
    bmp = bytearray(encode(Image.new("L", (_SIDE, _SIDE)), "BMP"))[:1078]
    bmp[30:34] = struct.pack("<I", 1)
    return bytes(bmp) + runs


def _tags(size: int) -> bytes:
    """A directory of tags whose values lie beyond the end."""
    entries = (struct.pack("<HHII", tag, 7, size, 8) for tag in range(65535))
    return b"II" + struct.pack("<HIH", 42, 8, 65535) + b"".join(entries) + bytes(4)


def _texts(size: int) -> bytes:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000)))
    return _png(text * (size // len(text)))


def _whole(kind: str, mode: str, side: int = _SIDE, **options: object) -> bytes:
    return encode(Image.new(mode, (side, side)), kind, **options)


# Small files that say they are too large a picture: to be refused from their header.
_HUGE: dict[str, Callable[[int], bytes]] = {
    "PNG": lambda _: png_claiming(_HUGE_SIDE, _HUGE_SIDE),
    "PNG whole": lambda _: _whole("PNG", "1", 30_000),
    "JPEG": lambda _: _resized("JPEG RGB", b"\xff\xc0", 5, ">HH"),
    "WEBP": lambda _: riff([(b"VP8X", bytes(4) + b"\xff" * 6)]),
    "GIF": lambda _: _resized("GIF P", b"GIF8", 6, "<HH"),
    "GIF frame": lambda _: (
        b"GIF89a\1\0\1\0\0\0\0," + bytes(4) + b"\xe0\x2e" * 2 + b"\0\2\2\x44\1\0;"
    ),
    "BMP": lambda _: _resized("BMP RGB", b"BM", 18, "<ii"),
    "TIFF": lambda _: _large_tiff(),
    "PPM": lambda _: b"P6 60000 60000 255\n",
    "AVIF": lambda _: _resized("AVIF RGB", b"ispe", 8, ">II"),
}
# Little to show and much to read.
_STALLING: dict[str, Callable[[int], bytes]] = {
    "PNG chunks": lambda size: _png(chunk(b"prVt", b"") * (size // 12)),
    "PNG texts": _texts,
    "PNG tags": lambda size: _png(chunk(b"eXIf", _tags(size))),
    "PNG profile": lambda size: _png(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(size * 16)))),
    "JPEG segments": lambda size: _jpeg(b"\xff\xe5\0\2" * (size // 4)),
    "JPEG fill": lambda size: _jpeg(b"\xff" * size),
    "JPEG scans": _scans,
    "GIF comments": lambda size: _gif(b"!\xfe\1a\0" * (size // 5)),
    "GIF junk": lambda size: _gif(b"\1" * size),
    "GIF frames": _gif_frames,
    "BMP runs": lambda size: _run_lengths(b"\1\5" * (size // 2)),
    "BMP steps": lambda size: _run_lengths(b"\0\2\0\0" * (size // 4)),
    "PPM comment": lambda size: b"P6 #" + b"x" * size + b"\n1 1 255 abc",
    "PBM comments": lambda size: b"P1 4000 4000\n" + b"#\n" * (size // 2),
    "PGM text": lambda size: b"P2 3000 3000 255\n" + b"1 " * (size // 2),
    "TIFF tags": _tags,
    "WEBP chunks": lambda size: riff(
        [*chunks(seeds()["WEBP RGB"], 12, "4s<I", 0), *[(b"abcd", b"")] * (size // 8)]
    ),
}
# The largest pictures that the policy lets in, in few bytes.
_DEAR: dict[str, Callable[[int], bytes]] = {
    "PNG RGBA": lambda _: _whole("PNG", "RGBA", compress_level=1),
    "PNG 16 bits": lambda _: _whole("PNG", "I;16", compress_level=1),
    "TIFF float": lambda _: _whole("TIFF", "F", compression="packbits"),
    "WEBP RGBA": lambda _: _whole("WEBP", "RGBA", lossless=True, method=0),
    "JPEG progressive": lambda _: _whole("JPEG", "RGB", progressive=True),
    "GIF": lambda _: _whole("GIF", "P"),
    "AVIF": lambda _: _whole("AVIF", "RGB", speed=10),
}
BOMBS = {"huge": _HUGE, "stalling": _STALLING, "dear": _DEAR}
