"""What a processor made of a picture's places: found out by what it makes of three pictures.

A black and a white picture of the same size say which processed pixels are real and which padding,
and undo the normalising; one whose colours count columns and rows says where each came from. So
resizing, crops, tiles and padding of any processor are undone without knowing their arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One direction of a tile: position `scale * pixel + start` in the original, in its pixels."""

    scale: float
    start: float

    def at(self, edges: Floats) -> Floats:
        """The original's positions of some edges in the tile, in pixels from its first."""
        return self.scale * edges + self.start


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One processed tile, `height` x `width` pixels; None where it is padding alone."""

    height: int
    width: int
    across: Axis | None
    down: Axis | None


def placed(process: Callable[[PIL.Image.Image], Tensor], size: tuple[int, int]) -> list[Placed]:
    """Where the tiles of pictures of a (width, height) come from.

    `process` gives the pixels that a tower reads, (tiles, 3, height, width).
    """
    width, height = size
    black, white, counted = (
        process(PIL.Image.fromarray(pixels)).double()
        for pixels in (
            np.zeros((height, width, 3), np.uint8),
            np.full((height, width, 3), 255, np.uint8),
            _counted(width, height),
        )
    )
    tiles = []
    for dark, light, own in zip(black, white, counted, strict=True):
        span = light - dark
        real = (span.abs() > 0.5 * span.abs().max()).all(0) if span.abs().max() > 0 else None
        if real is None or not real.any():
            tiles.append(Placed(height=own.shape[1], width=own.shape[2], across=None, down=None))
            continue
        share = ((own - dark) / torch.where(span == 0, 1.0, span)).clamp(0, 1)
        tiles.append(
            Placed(
                height=own.shape[1],
                width=own.shape[2],
                across=_axis(share[0], real, width),
                down=_axis(share[1].mT, real.mT, height),
            )
        )
    return tiles


def _counted(width: int, height: int) -> NDArray[np.uint8]:
    """Red counts columns and green rows, from the first to the last pixel's middle."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[..., 0] = np.round((np.arange(width) + 0.5) / width * 255)[None]
    pixels[..., 1] = np.round((np.arange(height) + 0.5) / height * 255)[:, None]
    return pixels


def _axis(share: Tensor, real: Tensor, length: int) -> Axis:
    """The straight line through what the columns of a tile say, (rows, columns) each."""
    count = real.sum(0)
    columns = count.nonzero()[:, 0].numpy()
    said = ((share * real).sum(0) / count.clamp_min(1)).numpy()[columns] * length
    middles = columns + 0.5
    if len(columns) < 6 or length < 6:
        # Too few to fit a line: the whole length lies there.
        scale = length / len(columns)
        return Axis(scale=scale, start=-scale * columns[0])
    # Edges are blurred by what lies beside them, and the ends of a ramp are cut off.
    inner = slice(len(columns) // 8, len(columns) - len(columns) // 8)
    scale, start = np.polyfit(middles[inner], said[inner], 1)
    return Axis(scale=float(scale), start=float(start))
