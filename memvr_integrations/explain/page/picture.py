"""A picture with its map over it."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from memvr_integrations.explain.mapped import MappedAnswer, State
from memvr_integrations.explain.maps import is_flat
from memvr_integrations.explain.page.colours import coloured, hottest

_BAR = 20  # pixels of the legend, at the bottom
_LONGER = 480  # pixels of the longer side of a small picture that is shown larger, about


def overlaid(
    explained: MappedAnswer, image: int, tokens: Sequence[int] | None, state: State | None
) -> PIL.Image.Image:
    """The original with the map over it, its box, and a bar from cold to hot below.

    A small one is enlarged a whole number of times. All pictures have one scale.
    """
    values, most = explained.map(image, tokens, state=state), hottest(explained, tokens, state)
    original = explained.images[image].convert("RGB")
    larger = max(_LONGER // max(original.size), 1)
    original = original.resize((larger * original.width, larger * original.height))
    cells = PIL.Image.fromarray(coloured(values, most))
    heat = cells.resize(original.size, PIL.Image.Resampling.BICUBIC)
    shown = PIL.Image.alpha_composite(original.convert("RGBA"), heat)
    box = explained.box(image, tokens) if state in (None, explained.state) else None
    if box is not None:
        draw, thick = PIL.ImageDraw.Draw(shown), max(original.width // 200, 1)
        edges = [larger * edge for edge in box]
        draw.rectangle(edges, outline=(0, 0, 0), width=3 * thick)
        draw.rectangle(edges, outline=(255, 255, 255), width=thick)
    whole = PIL.Image.new("RGB", (original.width, original.height + _BAR), "black")
    whole.paste(shown.convert("RGB"))
    whole.paste(_legend(original.width, most, flat=is_flat(values)), (0, original.height))
    return whole


def _legend(width: int, most: float, *, flat: bool) -> PIL.Image.Image:
    """A bar of all colours, with what the coldest and the hottest stand for."""
    scale = np.linspace(0, 1, width, dtype=np.float32)[None]
    bar = PIL.Image.fromarray(coloured(scale, 1.0)[..., :3]).resize((width, _BAR))
    draw, font, middle = PIL.ImageDraw.Draw(bar), PIL.ImageFont.load_default(12), _BAR // 2
    draw.text((4, middle), "0", fill="white", font=font, anchor="lm")
    draw.text((width - 4, middle), f"{most:.2g}", fill="black", font=font, anchor="rm")
    if flat:
        note = "nothing stands out"
        draw.text((width // 2, middle), note, fill="white", font=font, anchor="mm")
    return bar
