"""Pictures small enough for many of them to stand in one page."""

import base64
import html
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import PIL.Image

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import ImageError, MemVRWarning

SIDE = 160
"""Of a thumbnail, in pixels, at most."""

_MOST = 12_000  # bytes of one, however much room there is
_QUALITIES = (75, 55, 35, 20)
_SMALLEST = 16


def thumbnail(source: Path | PIL.Image.Image, most: int, *, alt: str) -> str:
    """An `img` that holds at most `most` bytes, or a text that says why there is none."""
    try:
        with warnings.catch_warnings():  # of what was warned when the picture was asked about
            warnings.simplefilter("ignore", MemVRWarning)
            picture = load_image(source)
    except ImageError as problem:
        return (
            f'<span class="note">no picture: {html.escape(" ".join(str(problem).split()))}</span>'
        )
    data, (width, height) = _encoded(picture, min(most, _MOST))
    shown = base64.b64encode(data).decode()
    return (
        f'<img src="data:image/webp;base64,{shown}" width="{width}" height="{height}" '
        f'alt="{html.escape(alt)}" loading="lazy">'
    )


def _encoded(picture: PIL.Image.Image, most: int) -> tuple[bytes, tuple[int, int]]:
    small = picture.copy()
    for side in _sides():
        small.thumbnail((side, side), PIL.Image.Resampling.LANCZOS)
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            small.save(buffer, "WEBP", quality=quality, method=2)
            if buffer.tell() <= most:
                return buffer.getvalue(), small.size
    return buffer.getvalue(), small.size


def _sides() -> Iterator[int]:
    side = SIDE
    while side >= _SMALLEST:
        yield side
        side = side * 3 // 4
