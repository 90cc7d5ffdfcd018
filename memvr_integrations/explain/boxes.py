"""A box from a map: the part of the picture around the hottest cell."""

import numpy as np

from memvr_integrations.explain.explanation import Map, is_flat
from memvr_integrations.explain.regions import Regions

_SHARE = 0.5  # of the maximum: cells below it end the part


def box_of(regions: Regions, values: Map) -> tuple[float, float, float, float] | None:
    """(left, top, right, bottom) in the picture's pixels; None where nothing stands out."""
    if is_flat(values):
        return None
    rows, columns = values.shape
    warm = values >= _SHARE * values.max()
    first = divmod(int(values.argmax()), columns)
    part, waiting = {first}, [first]
    while waiting:
        row, column = waiting.pop()
        for at in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= at[0] < rows and 0 <= at[1] < columns
            if inside and at not in part and warm[at]:
                part.add(at)
                waiting.append(at)
    down, across = np.array(list(part)).T
    width, height = regions.size
    return (
        float(across.min() / columns * width),
        float(down.min() / rows * height),
        float((across.max() + 1) / columns * width),
        float((down.max() + 1) / rows * height),
    )
