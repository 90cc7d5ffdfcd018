"""A picture with its map over it."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw

from memvr_integrations.explain.mapped import MappedAnswer, State
from memvr_integrations.explain.page.colours import coloured

_BAR = 12  # pixels of the legend, at the bottom
_WIDTH = 480  # of a small picture that is shown larger, about


def overlaid(
    explained: MappedAnswer, image: int, tokens: Sequence[int] | None, state: State | None
) -> PIL.Image.Image:
    """The original with the map over it, its box, and a bar from cold to hot below.

    A small one is enlarged a whole number of times.
    """
    values = explained.map(image, tokens, state=state)
    original = explained.images[image].convert("RGB")
    larger = max(_WIDTH // original.width, 1)
    original = original.resize((larger * original.width, larger * original.height))
    heat = PIL.Image.fromarray(coloured(values)).resize(original.size, PIL.Image.Resampling.BICUBIC)
    shown = PIL.Image.alpha_composite(original.convert("RGBA"), heat)
    box = explained.box(image, tokens) if state in (None, explained.state) else None
    if box is not None:
        draw, thick = PIL.ImageDraw.Draw(shown), max(original.width // 200, 1)
        edges = [larger * edge for edge in box]
        draw.rectangle(edges, outline=(0, 0, 0), width=3 * thick)
        draw.rectangle(edges, outline=(255, 255, 255), width=thick)
    whole = PIL.Image.new("RGB", (original.width, original.height + _BAR), "black")
    whole.paste(shown.convert("RGB"))
    scale = np.linspace(0, 1, original.width, dtype=np.float32)[None]
    bar = PIL.Image.fromarray(coloured(scale)[..., :3]).resize((original.width, _BAR))
    whole.paste(bar, (0, original.height))
    return whole
