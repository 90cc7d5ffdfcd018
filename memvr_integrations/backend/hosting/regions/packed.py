"""LLaVA-NeXT's and LLaVA-OneVision's packing: a view of the whole, then tiles as one grid.

The tiles' padding is cut off in whole patches, a large grid is shrunk, and each row ends with a
token that shows nothing.
"""

import math

import numpy as np

from memvr_integrations.backend.hosting.regions.layouts import (
    NOWHERE,
    Processed,
    cells,
    grid,
    side,
)
from memvr_integrations.backend.hosting.regions.placing import Floats, Size, joined, placed

_MUCH = 1.1  # by which a grid's side is beyond the limit before it is shrunk


def packed(processed: Processed) -> Floats:
    """The boxes of the view of the whole, then those of the joined tiles, row by row."""
    views, patch = processed.views, processed.patch
    square = side(processed.settings.vision_config.image_size)
    whole = grid(placed(views[0], processed.size), patch)
    if len(views) == 1:
        return np.concatenate([whole, NOWHERE])
    view, _ = joined(views[1:], processed.size)
    columns, rows = _unpadded(
        _cells_of_tiles(view.width, square, patch),
        _cells_of_tiles(view.height, square, patch),
        processed.size,
    )
    most = _most_tiles(processed)
    ratio = math.sqrt(len(columns) * len(rows) / (most * (square // patch) ** 2)) if most else 0
    if ratio > _MUCH:
        columns, rows = (_shrunk(own, int(len(own) // ratio)) for own in (columns, rows))
    boxes = view.boxes(columns, rows).reshape(len(rows), len(columns), 4)
    ends = np.broadcast_to(NOWHERE, (len(rows), 1, 4))
    return np.concatenate([whole, np.concatenate([boxes, ends], axis=1).reshape(-1, 4)])


def _cells_of_tiles(length: int, tile: int, patch: int) -> Floats:
    """The patches of a line of tiles; what is left at the end of a tile is not read."""
    return np.concatenate([cells(tile, patch, start) for start in range(0, length, tile)])


def _unpadded(columns: Floats, rows: Floats, size: Size) -> tuple[Floats, Floats]:
    """Columns and rows without the padding, as many as the models cut off."""
    width, height = size
    if width / height > len(columns) / len(rows):
        kept = int(round(height * len(columns) / width, 7))
        cut = (len(rows) - kept) // 2
        return columns, rows[cut : len(rows) - cut]
    kept = int(round(width * len(rows) / height, 7))
    cut = (len(columns) - kept) // 2
    return columns[cut : len(columns) - cut], rows


def _most_tiles(processed: Processed) -> int:
    """Beyond how many tiles' worth of patches a grid is shrunk; 0 where it never is."""
    if processed.settings.model_type != "llava_onevision":
        return 0
    return int(processed.settings.vision_aspect_ratio.removeprefix("anyres_max_"))


def _shrunk(own: Floats, count: int) -> Floats:
    """Fewer cells over the same stretch."""
    edges = np.append(own[:, 0], own[-1:, 1])
    found = np.interp(np.linspace(0, len(own), count + 1), np.arange(len(edges)), edges)
    return np.stack([found[:-1], found[1:]], axis=1)
