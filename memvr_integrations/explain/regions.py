"""Where in a picture its visual tokens lie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_CELLS = 64  # a side: finer than any family's patches on usual pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class Regions:
    """Which part of one picture each of its visual tokens shows.

    Args:
        size: (width, height) of the original picture in pixels.
        boxes: (tokens, 4) float32: left, top, right, bottom in the original's pixels, within it; a
            row of NaN is a token that shows no place, as an end of line. Boxes may overlap.
        patches: Whether tokens are patches at all; a resampler's are not, and all boxes are NaN.
    """

    size: tuple[int, int]
    boxes: NDArray[np.float32]
    patches: bool = True

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the maps over this picture: about one cell a token's side."""
        width, height = self.size
        shown = self.boxes[~np.isnan(self.boxes[:, 0])]
        if not len(shown):
            return 1, 1
        sides = shown[:, 2:] - shown[:, :2]
        across, down = np.maximum(np.quantile(sides, 0.1, axis=0), 1e-3)
        return (
            min(max(round(height / float(down)), 1), _MOST_CELLS),
            min(max(round(width / float(across)), 1), _MOST_CELLS),
        )

    def paint(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Spread what each token has evenly over its box; what lies nowhere is left out.

        Shapes: `values` (tokens,) gives (rows, columns) of the `grid`, the whole picture. Sums stay
        sums: a cell has the shares of all boxes that it overlaps.
        """
        (rows, columns), (width, height) = self.grid, self.size
        shown = ~np.isnan(self.boxes[:, 0])
        left, top, right, bottom = self.boxes[shown].astype(np.float64).T
        across = _shares(left / width * columns, right / width * columns, columns)
        down = _shares(top / height * rows, bottom / height * rows, rows)
        painted = np.einsum("t,tr,tc->rc", values[shown], down, across)
        return np.asarray(painted, dtype=np.float32)

    def middle_in(self, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
        """Which tokens have their middle in a box of the picture's pixels, (tokens,) bool."""
        left, top, right, bottom = self.boxes.T
        across, down = (left + right) / 2, (top + bottom) / 2
        inside = (across >= box[0]) & (across < box[2]) & (down >= box[1]) & (down < box[3])
        return np.asarray(inside)


def _shares(
    starts: NDArray[np.float64], ends: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """How much of each stretch lies in each of `count` cells, as shares: (stretches, count)."""
    cells = np.arange(count)
    inside = np.minimum(ends[:, None], cells + 1) - np.maximum(starts[:, None], cells)
    inside = np.clip(inside, 0, None)
    shares: NDArray[np.float64] = inside / np.maximum(inside.sum(1, keepdims=True), 1e-9)
    return shares
