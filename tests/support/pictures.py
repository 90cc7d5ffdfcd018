"""Pictures in every form, for the tests of what comes in."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from memvr_integrations.backend.images import ImagePolicy, load_image
from memvr_integrations.backend.images import sources as images
from memvr_integrations.errors import ImageError

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)
PIXELS = np.random.default_rng(7).integers(0, 256, (13, 17, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + PNG[-12:]


PNG = encode(PICTURE, "PNG")
LOSSLESS = {
    "PNG": PNG,
    "BMP": encode(PICTURE, "BMP"),
    "TIFF": encode(PICTURE, "TIFF"),
    "PPM": encode(PICTURE, "PPM"),
    "WEBP": encode(PICTURE, "WEBP", lossless=True),
}
ENCODED = {
    **LOSSLESS,
    "GIF": encode(PICTURE, "GIF"),
    "JPEG": encode(PICTURE, "JPEG"),
    "progressive": encode(PICTURE, "JPEG", progressive=True),
    "LZW": encode(PICTURE, "TIFF", compression="tiff_lzw"),
    "AVIF": encode(PICTURE, "AVIF"),
}
BASE64 = base64.b64encode(PNG).decode()


def refused(source: object, match: str, policy: ImagePolicy = images.DEFAULT_POLICY) -> str:
    with pytest.raises(ImageError, match=match) as caught:
        load_image(source, policy)
    return str(caught.value)


def same(image: Image.Image, expected: np.ndarray) -> bool:
    return np.array_equal(np.asarray(image), expected)
