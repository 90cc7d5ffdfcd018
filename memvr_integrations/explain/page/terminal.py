"""An explanation in a terminal: small maps of coloured blocks, and words with their chances."""

import numpy as np
import PIL.Image

from memvr_integrations.explain.mapped import MappedAnswer
from memvr_integrations.explain.maps import Map
from memvr_integrations.explain.page.colours import coloured

_SHADES = " .:-=+*#%@"
_CELL = 2  # characters are twice as high as wide


def blocks(explained: MappedAnswer, *, width: int, colour: bool) -> str:
    """Each picture's map, then the answer's words."""
    lines = []
    for image, name in enumerate(explained.names):
        values = explained.map(image)
        note = "nothing stands out" if explained.flat(image) else _where(explained, image)
        lines += [f"{_clean(name)}: {note}", *_map(explained, image, values, width, colour), ""]
    lines += ["word            chance  unsure  MemVR"]
    for token in explained.tokens:
        text = _clean(token.text.strip()) or "(end)"
        unsure = "" if token.output_entropy is None else f"{token.output_entropy:6.2f}"
        mark = "" if token.trigger_layer is None else f"retraced after layer {token.trigger_layer}"
        lines.append(f"{text[:15]:15} {np.exp(token.logprob):6.2f}  {unsure:6}  {mark}".rstrip())
    return "\n".join(lines) + "\n"


def _where(explained: MappedAnswer, image: int) -> str:
    box = explained.box(image)
    if box is None:
        return "two methods disagree about the place"
    return "points at ({:.0f}, {:.0f}) to ({:.0f}, {:.0f}) in its pixels".format(*box)


def _map(explained: MappedAnswer, image: int, values: Map, width: int, colour: bool) -> list[str]:
    picture = explained.images[image].convert("RGB")
    columns = max(min(width, 64), 8)
    rows = max(round(columns * picture.height / picture.width / _CELL), 1)
    if not colour:
        small = np.asarray(PIL.Image.fromarray(values).resize((columns, rows)))
        share = np.clip(small / (float(values.max()) or 1.0), 0, 1)
        return ["".join(_SHADES[round(one * 9)] for one in row) for row in share.tolist()]
    size = (columns, 2 * rows)  # a half block shows two cells
    heat = PIL.Image.fromarray(coloured(values)).resize(size)
    mixed = PIL.Image.alpha_composite(picture.resize(size).convert("RGBA"), heat)
    pixels = np.asarray(mixed.convert("RGB")).tolist()
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
