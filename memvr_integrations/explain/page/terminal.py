"""An explanation in a terminal: small maps of coloured blocks, and words with their chances."""

import unicodedata
from collections.abc import Iterator

import numpy as np
import PIL.Image

from memvr_integrations.explain.mapped import LITTLE, ExplainedToken, MappedAnswer
from memvr_integrations.explain.maps import Map, finite
from memvr_integrations.explain.page.colours import coloured, hottest

_SHADES = " .:-=+*#%@"
_CELL = 2  # characters are twice as high as wide
_WIDEST, _HIGHEST = 64, 32  # characters of a map
_NARROWEST = 16  # below this, nothing can be read
_WORD = 15
_SHORT = "\u2026"


def blocks(explained: MappedAnswer, *, width: int, colour: bool) -> str:
    """Each picture's map, then the answer's words; no line is wider than `width`, 16 at least."""
    width, most = max(width, _NARROWEST), hottest(explained)
    lines: list[str] = []
    for image, name in enumerate(explained.names):
        lines += _wrapped(f"{_clean(name)}: {_said(explained, image)}", width)
        picture, values = explained.images[image], explained.map(image)
        size = _size(picture, width)
        shown = _coloured(picture, values, size, most) if colour else _plain(values, size, most)
        # An empty map of characters shows nothing that its line above doesn't say.
        lines += [*(shown if any(line.strip() for line in shown) else []), ""]
    lines += [_cut(_padded("word", _WORD) + " chance  unsure  retraced", width)]
    lines += [_cut(_word(token), width) for token in explained.tokens]
    return "\n".join(lines) + "\n"


def _said(explained: MappedAnswer, image: int) -> str:
    if explained.flat(image):
        return "nothing stands out"
    share = explained.share(image, None, state=explained.state)
    if share < LITTLE:
        return "next to nothing came from it"
    box = explained.box(image)
    if box is None:
        return "two methods disagree about the place"
    heat = f", {share:.0%} of the heat" if len(explained.images) > 1 else ""
    return "points at ({:.0f}, {:.0f}) to ({:.0f}, {:.0f}) in its pixels".format(*box) + heat


def _word(token: ExplainedToken) -> str:
    text = _clean(token.text.strip()) or "(end)"
    unsure = "" if token.output_entropy is None else f"{token.output_entropy:6.2f}"
    mark = "" if token.trigger_layer is None else f"layer {token.trigger_layer}"
    shown = _padded(_cut(text, _WORD), _WORD)
    return f"{shown} {np.exp(token.logprob):6.2f}  {unsure:6}  {mark}".rstrip()


def _size(picture: PIL.Image.Image, width: int) -> tuple[int, int]:
    """The columns and rows of a map in characters."""
    columns = min(width, _WIDEST, max(round(_HIGHEST * _CELL * picture.width / picture.height), 1))
    rows = min(max(round(columns * picture.height / picture.width / _CELL), 1), _HIGHEST)
    return columns, rows


def _plain(values: Map, size: tuple[int, int], most: float) -> list[str]:
    small = np.asarray(PIL.Image.fromarray(finite(values)).resize(size))
    share = np.clip(small / (most or 1.0), 0, 1)
    return ["".join(_SHADES[round(one * 9)] for one in row) for row in share.tolist()]


def _coloured(
    picture: PIL.Image.Image, values: Map, characters: tuple[int, int], most: float
) -> list[str]:
    size = (characters[0], 2 * characters[1])  # a half block shows two cells
    heat = PIL.Image.fromarray(coloured(values, most)).resize(size)
    small_picture = picture.convert("RGB").resize(size).convert("RGBA")
    pixels = np.asarray(PIL.Image.alpha_composite(small_picture, heat).convert("RGB")).tolist()
    return [
        "".join(
            "\x1b[38;2;{};{};{};48;2;{};{};{}m\u2580".format(*above, *below)
            for above, below in zip(pixels[row], pixels[row + 1], strict=True)
        )
        + "\x1b[0m"
        for row in range(0, len(pixels), 2)
    ]


def _clean(text: str) -> str:
    """A name or a word without what a terminal would obey."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _wide(text: str) -> int:
    """How many places a text takes: Chinese characters two, accents none."""
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _wide(text))


def _cut(text: str, width: int) -> str:
    if _wide(text) <= width:
        return text
    while _wide(text) >= width:
        text = text[:-1]
    return text + _SHORT


def _wrapped(text: str, width: int) -> Iterator[str]:
    """A text in lines, broken at spaces where that can be."""
    line = ""
    for word in text.split(" "):
        if line and _wide(line) + 1 + _wide(word) > width:
            yield line
            line = ""
        line = _cut(f"{line} {word}".strip(), width)
    yield line
