"""From a picture's visual tokens to their places, by the form in which a family reads pictures."""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from torch import Tensor

from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.backend.hosting.regions.packed import PACKED, packed_boxes
from memvr_integrations.backend.hosting.regions.placing import Floats, Placed, placed
from memvr_integrations.backend.hosting.vision import Features
from memvr_integrations.explain.regions import Regions

# Whose tower gathers a picture in tokens that are no patches of it.
_RESAMPLED = {"memvr_qwen_vl", "instructblip", "blip-2"}


def regions_of(
    host: Host, picture: Picture, features: Features, *, in_company: bool = False
) -> Regions:
    """Where a picture's visual tokens lie in it; `in_company` of others in its prompt.

    Where that is not known, `Regions.patches` is False and no token lies anywhere.
    """
    kind, size = host.model.config.model_type, picture.image.size
    boxes = None
    if kind not in _RESAMPLED:
        copies = 2 if in_company else 1
        inputs = host.prompts.shown([picture.image] * copies)
        boxes = _boxes(host, kind, inputs, size, features.count, copies)
    nowhere = np.full((features.count, 4), np.nan, np.float32)
    return Regions(size=size, boxes=nowhere if boxes is None else boxes, patches=boxes is not None)


def _boxes(
    host: Host,
    kind: str,
    inputs: Mapping[str, Tensor],
    size: tuple[int, int],
    count: int,
    copies: int,
) -> NDArray[np.float32] | None:
    if "image_grid_thw" in inputs:
        _, rows, columns = inputs["image_grid_thw"][0].tolist()
        merge = math.isqrt(rows * columns // count) if count else 0
        if not merge or rows * columns != count * merge**2:
            return None
        return _even(rows // merge, columns // merge, size)
    if "image_position_ids" in inputs:
        return _of_positions(inputs["image_position_ids"][0], size, count)
    if "pixel_values" not in inputs:
        return None
    tiles = placed(functools.partial(_tiles, host, copies), size)
    if kind in PACKED:
        sides = host.model.config.vision_config
        # In company a picture is not cut up.
        shown = tiles[:1] if copies > 1 and kind == "llava_onevision" else tiles
        side = sides.image_size // sides.patch_size
        boxes = packed_boxes(host.model, shown, side, size)
        return boxes if len(boxes) == count else None
    return _of_tiles(tiles, size, count)


def _tiles(host: Host, copies: int, picture: PIL.Image.Image) -> Tensor:
    """What a tower reads of the first of some equal pictures, (tiles, 3, height, width)."""
    pixels = host.prompts.shown([picture] * copies)["pixel_values"]
    if pixels.dim() == 5:
        return pixels[0] if len(pixels) == copies else pixels[0, : pixels.shape[1] // copies]
    return pixels[: len(pixels) // copies]


def _of_tiles(
    tiles: Sequence[Placed], size: tuple[int, int], count: int
) -> NDArray[np.float32] | None:
    """Each tile has as many tokens, row by row; a class token, if there is one, comes first."""
    each, left = divmod(count, len(tiles))
    if left:
        return None
    found = []
    for tile in tiles:
        grid = _grid(tile, each)
        first = 0
        if grid is None:
            grid, first = _grid(tile, each - 1), 1
        if grid is None:
            return None
        found += [np.full((first, 4), np.nan)] * first
        found.append(cells(tile, *grid, size))
    return np.concatenate(found).astype(np.float32)


def _grid(tile: Placed, count: int) -> tuple[int, int] | None:
    """(rows, columns) of square cells that are `count`; None where there is no such grid."""
    rows = round(math.sqrt(count * tile.height / tile.width)) if count > 0 else 0
    if not rows or count % rows:
        return None
    columns = count // rows
    square = tile.height / rows / (tile.width / columns)
    return (rows, columns) if 0.75 < square < 4 / 3 else None


def cells(tile: Placed, rows: int, columns: int, size: tuple[int, int]) -> Floats:
    """The boxes of a tile's cells, row by row; NaN where a cell shows padding alone."""
    boxes = np.full((rows * columns, 4), np.nan)
    if tile.across is None or tile.down is None:
        return boxes
    across = tile.across.at(np.linspace(0, tile.width, columns + 1)).clip(0, size[0])
    down = tile.down.at(np.linspace(0, tile.height, rows + 1)).clip(0, size[1])
    boxes[:] = np.stack(
        [
            np.tile(across[:-1], rows),
            np.repeat(down[:-1], columns),
            np.tile(across[1:], rows),
            np.repeat(down[1:], columns),
        ],
        1,
    )
    gone = (boxes[:, 2] - boxes[:, 0] <= 1e-6) | (boxes[:, 3] - boxes[:, 1] <= 1e-6)
    boxes[gone] = np.nan
    return boxes


def _even(rows: int, columns: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """A grid over the whole picture, which was stretched to it."""
    width, height = size
    across, down = np.linspace(0, width, columns + 1), np.linspace(0, height, rows + 1)
    left, top = np.meshgrid(across[:-1], down[:-1])
    right, bottom = np.meshgrid(across[1:], down[1:])
    boxes = np.stack([one.ravel() for one in (left, top, right, bottom)], 1)
    return boxes.astype(np.float32)


def _of_positions(
    positions: Tensor, size: tuple[int, int], count: int
) -> NDArray[np.float32] | None:
    """Patches that come with their (column, row), of which some squares are pooled to one token."""
    real = positions[(positions >= 0).all(-1)]
    columns, rows = (int(one) + 1 for one in real.amax(0))
    pooled = math.isqrt(rows * columns // count) if count else 0
    if not pooled or (rows // pooled) * (columns // pooled) != count:
        return None
    return _even(rows // pooled, columns // pooled, size)
