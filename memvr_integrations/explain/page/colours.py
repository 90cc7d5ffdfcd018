"""The colours of maps, for any colour vision, over light and dark pictures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memvr_integrations.explain.mapped import MappedAnswer, State
from memvr_integrations.explain.maps import Map, finite

# Dark blue to yellow, whose lightness alone says as much.
ANCHORS = ((0, 32, 77), (87, 92, 109), (166, 157, 117), (255, 234, 70))
LESS, MORE = (33, 102, 172), (224, 120, 20)  # of a difference

FAINT, STRONG = 0.12, 0.82  # how much of the picture a cold and a hot cell hide


def hottest(
    explained: MappedAnswer, tokens: Sequence[int] | None = None, state: State | None = None
) -> float:
    """The most that any picture has: with one scale for all, a picture of nothing stays cold."""
    images = range(len(explained.images))
    maps = [finite(explained.map(image, tokens, state=state)) for image in images]
    return max(float(one.max()) for one in maps)


def coloured(values: Map, most: float) -> NDArray[np.uint8]:
    """A map as (rows, columns, 4) red, green, blue and alpha; `most` is what is hottest."""
    share = np.clip(finite(values) / (most or 1.0), 0, 1)
    at = share * (len(ANCHORS) - 1)
    colour = np.stack(
        [np.interp(at, range(len(ANCHORS)), [one[c] for one in ANCHORS]) for c in range(3)], -1
    )
    alpha = FAINT + share * (STRONG - FAINT)
    return np.concatenate([colour, 255 * alpha[..., None]], -1).round().astype(np.uint8)
