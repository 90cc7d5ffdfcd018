"""Where the pixels that a tower reads come from: found out by what a processor makes of ramps.

A black and a white picture of one size say which processed pixels are real and which are padding,
and undo the normalising; a third one, whose red grows from left to right and whose green from top
to bottom, then says where each real pixel comes from. So resizing, crops, tiles and padding are
undone whatever their arithmetic is. All three ask the processor alone, so no model is run.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Size = tuple[int, int]

_LEVELS = 255


class UnplacedError(Exception):
    """It can't be proven where visual tokens lie; says why."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A picture as a tower reads it: `width` x `height` pixels, and where its outer edges lie.

    `across` are the left and right edge, `down` the upper and lower one, in the original's pixels;
    outside of it where padding is.
    """

    width: int
    height: int
    across: tuple[float, float]
    down: tuple[float, float]

    def boxes(self, columns: Floats, rows: Floats) -> Floats:
        """The cells of columns and rows, row by row.

        Shapes: `columns` (columns, 2) and `rows` (rows, 2) are starts and ends in the view's
        pixels; boxes (rows * columns, 4) are in the original's.
        """
        across = _placed(columns, self.width, self.across)
        down = _placed(rows, self.height, self.down)
        left, top = np.meshgrid(across[:, 0], down[:, 0])
        right, bottom = np.meshgrid(across[:, 1], down[:, 1])
        return np.stack([edge.ravel() for edge in (left, top, right, bottom)], axis=1)


def ramps(size: Size) -> Iterator[PIL.Image.Image]:
    """A black picture, a white one, and the one whose colours say where a pixel lies."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    yield PIL.Image.fromarray(pixels)
    yield PIL.Image.fromarray(np.full_like(pixels, _LEVELS))
    pixels[..., 0] = _ramp(width)
    pixels[..., 1] = _ramp(height)[:, None]
    yield PIL.Image.fromarray(pixels)


def levels(black: Tensor, white: Tensor, ramp: Tensor) -> Floats:
    """How far each value of processed pixels lies between black and white; NaN is padding."""
    dark, light, own = (one.double().numpy() for one in (black, white, ramp))
    span = light - dark
    most = np.abs(span).max(initial=0)
    if not most:
        raise UnplacedError("black and white became the same pixels")
    # A pixel of which half comes from padding is where the picture ends.
    real = np.abs(span) > most / 2
    found: Floats = np.full(span.shape, np.nan)
    np.divide(own - dark, span, out=found, where=real)
    return found


def placed(pixels: Floats, size: Size) -> View:
    """Where a processed picture lies; `pixels` are its levels, (3, height, width).

    Raises:
        UnplacedError: It isn't the picture, or part of it, evenly stretched.
    """
    view, error = _fitted(pixels, size)
    own = (view.across, view.width), (view.down, view.height)
    for off, side, ((start, end), length) in zip(error, size, own, strict=True):
        if end - start < 0.6:
            raise UnplacedError("a view shows no whole pixel, or a mirrored picture")
        # Where a picture grows, also on its way to a smaller one, its outer pixels are flat; and
        # one processed pixel may be many of its own.
        if off > 1 + side / 20 + (end - start) / length / 2:
            raise UnplacedError(f"a view of a picture of {side} pixels is {off:.1f} off")
    return view


def joined(tiles: Floats, size: Size) -> tuple[View, Floats]:
    """Tiles in the rows and columns in which they make up one picture, and their corners.

    Shapes: `tiles` are levels, (tiles, 3, height, width), row by row; corners (tiles, 2) are each
    tile's left and upper edge in the view's pixels.

    Raises:
        UnplacedError: They don't make up one.
    """
    count, _, height, width = tiles.shape
    tried = []
    for rows in (rows for rows in range(1, count + 1) if count % rows == 0):
        grid = tiles.reshape(rows, count // rows, 3, height, width)
        whole = grid.transpose(2, 0, 3, 1, 4).reshape(3, rows * height, -1)
        error = np.divide(_fitted(whole, size)[1], size).sum()
        tried.append((float(error), rows, whole))
    _, rows, whole = min(tried, key=lambda one: one[:2])
    down, across = np.divmod(np.arange(count), count // rows)
    return placed(whole, size), np.stack([across * width, down * height], axis=1).astype(float)


def one_copy(inputs: Mapping[str, Tensor], copies: int) -> Tensor:
    """The pixels of the first of some equal pictures.

    Raises:
        UnplacedError: There are none.
    """
    pixels = inputs.get("pixel_values")
    if pixels is None:
        raise UnplacedError("the processor gives no pixel_values")
    if pixels.dim() == 5 and len(pixels) != copies:
        return pixels[0, : pixels.shape[1] // copies]  # those of one prompt lie in one row
    return pixels[: len(pixels) // copies]


def _ramp(count: int) -> NDArray[np.uint8]:
    return np.rint(np.linspace(0, _LEVELS, count)).astype(np.uint8)


def _placed(edges: Floats, length: int, ends: tuple[float, float]) -> Floats:
    start, end = ends
    found: Floats = start + edges * ((end - start) / length)
    return found


def _fitted(pixels: Floats, size: Size) -> tuple[View, tuple[float, float]]:
    """The view that fits best, and how far off it is on the average, (across, down) in pixels."""
    width, height = size
    across, across_off = _line(pixels[0], width)
    down, down_off = _line(pixels[1].T, height)
    found = View(width=pixels.shape[2], height=pixels.shape[1], across=across, down=down)
    return found, (across_off, down_off)


def _line(said: Floats, length: int) -> tuple[tuple[float, float], float]:
    """The straight line through what the columns of (rows, columns) say, each as a level."""
    real = ~np.isnan(said)
    count = real.sum(0)
    columns = count.nonzero()[0]
    if not len(columns):
        raise UnplacedError("a view is padding alone")
    first, last = int(columns[0]), int(columns[-1]) + 1
    places = np.where(real, said, 0) * (length - 1) + 0.5
    means = (places * real).sum(0)[columns] / count[columns]
    middles = columns + 0.5
    # Near its ends a ramp is bent by whatever lies, or doesn't lie, beside it: as far as resampling
    # reaches, three pixels of the larger kind on either side of a stretch that may be cropped.
    reach = math.ceil(6 * max(1, len(columns) / length))
    margin = min(reach, len(columns) // 4)
    inner = slice(margin, len(columns) - margin)
    slope, at = _least_squares(middles[inner], means[inner])
    start, end = at + slope * first, at + slope * last
    near = max(1.0, length / _LEVELS, slope / 2)
    if first > 0 or abs(start) < near:
        start = 0.0
    if last < said.shape[1] or abs(end - length) < near:
        end = float(length)
    slope = (end - start) / (last - first)
    line = start + slope * (np.arange(said.shape[1]) + 0.5 - first)
    off = float((np.abs(places - line) * real).sum() / real.sum())
    return (start - slope * first, end + slope * (said.shape[1] - last)), off


def _least_squares(x: Floats, y: Floats) -> tuple[float, float]:
    """The slope of a line and its height at 0."""
    apart = x - x.mean()
    slope = float((apart * y).sum() / max((apart**2).sum(), 1e-9))
    return slope, float(y.mean() - slope * x.mean())
