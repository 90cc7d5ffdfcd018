"""Maps over a picture, and what can be said of one or two of them."""

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
"""(rows, columns) over a whole original picture; sums over it are sums over its visual tokens."""

# Below this share of the mass in the hottest tenth of the picture, a map points nowhere; an even
# one has a tenth there.
_FLAT = 0.25


def finite(values: Map) -> Map:
    """A map with zeros where it holds no numbers, as half precision may leave behind."""
    return np.nan_to_num(values, posinf=0, neginf=0)


def is_flat(values: Map) -> bool:
    """Whether nothing in a map stands out."""
    cells = np.sort(np.clip(values, 0, None).ravel())[::-1]
    total = float(cells.sum())
    if total <= 0 or not np.isfinite(total):
        return True
    return float(cells[: max(len(cells) // 10, 1)].sum()) / total < _FLAT


def agreement(one: Map, two: Map) -> float | None:
    """How well a second map of the same grid goes with the hottest tenth of the first, 0 to 1.

    The chance that a cell there has more in the second map than a cell elsewhere: .5 by chance.
    None where either map is constant, or holds values that are no numbers.
    """
    first, second = (np.asarray(each, np.float64).ravel() for each in (one, two))
    if not np.isfinite([first, second]).all() or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    hot = np.zeros(len(first), dtype=bool)
    hot[np.argsort(-first, kind="stable")[: max(len(first) // 10, 1)]] = True
    inside, outside = second[hot][:, None], second[~hot][None]
    return float(((inside > outside) + 0.5 * (inside == outside)).mean())
