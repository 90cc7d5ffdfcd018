"""A box from a map: the part of the picture around the hottest cell.

Cells that have a fifth of the maximum and touch one another are one part. Its edges lie within its
outermost cells, as far in as those are warm beside the warmest. Both were chosen on drawn scenes,
and measured on others: docs/explain.md.
"""

import numpy as np
from numpy.typing import NDArray

from memvr_integrations.explain.maps import Map, is_flat

_SHARE = 0.2
# Beyond this part of its cells, one that is much hotter than the others doesn't count as such.
_FULL = 0.75

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in a picture's pixels."""


def box_of(size: tuple[int, int], values: Map) -> Box | None:
    """The box of what a map points at in a picture of a (width, height); None where it is flat."""
    if is_flat(values):
        return None
    part = np.zeros_like(values)
    rows, columns = _part(values)
    heat = values[rows, columns]
    part[rows, columns] = np.minimum(heat, np.quantile(heat, _FULL))
    (top, bottom), (left, right) = (_edges(part.max(axis)) for axis in (1, 0))
    across, down = size[0] / values.shape[1], size[1] / values.shape[0]
    return left * across, top * down, right * across, bottom * down


def _part(values: Map) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and columns of the cells around the hottest one."""
    warm = values >= _SHARE * values.max()
    part, waiting = np.zeros_like(warm), [divmod(int(values.argmax()), values.shape[1])]
    while waiting:
        row, column = waiting.pop()
        if part[row, column]:
            continue
        part[row, column] = True
        top, left = max(row - 1, 0), max(column - 1, 0)
        beside = (warm & ~part)[top : row + 2, left : column + 2]
        waiting += [(top + one, left + two) for one, two in np.argwhere(beside).tolist()]
    found = part.nonzero()
    return found[0], found[1]


def _edges(heat: NDArray[np.float32]) -> tuple[float, float]:
    """Where a part begins and ends along one axis, in cells; `heat` is the most of each."""
    cells = heat.nonzero()[0]
    first, last = int(cells[0]), int(cells[-1])
    if first == last:
        return float(first), float(first + 1)
    most = float(heat.max())
    return first + 1 - float(heat[first]) / most, last + float(heat[last]) / most
