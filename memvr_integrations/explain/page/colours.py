"""The colours of maps, for any colour vision, over light and dark pictures."""

import numpy as np
from numpy.typing import NDArray

from memvr_integrations.explain.maps import Map

# Dark blue to yellow, whose lightness alone says as much.
ANCHORS = ((0, 32, 77), (87, 92, 109), (166, 157, 117), (255, 234, 70))
LESS, MORE = (33, 102, 172), (224, 120, 20)  # of a difference

_FAINT, _STRONG = 0.12, 0.82  # how much of the picture a cold and a hot cell hide


def coloured(values: Map, *, signed: bool = False) -> NDArray[np.uint8]:
    """A map as (rows, columns, 4) red, green, blue and alpha, relative to its largest magnitude."""
    most = float(np.abs(values).max()) or 1.0
    share = np.clip(values / most, -1, 1)
    strength = np.abs(share)
    if signed:
        colour = np.where((share < 0)[..., None], LESS, MORE).astype(np.float64)
        alpha = strength * _STRONG
    else:
        at = np.clip(share, 0, 1) * (len(ANCHORS) - 1)
        colour = np.stack(
            [np.interp(at, range(len(ANCHORS)), [one[c] for one in ANCHORS]) for c in range(3)], -1
        )
        alpha = _FAINT + np.clip(share, 0, 1) * (_STRONG - _FAINT)
    return np.concatenate([colour, 255 * alpha[..., None]], -1).round().astype(np.uint8)
