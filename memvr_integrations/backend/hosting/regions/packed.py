"""The layout of LLaVA-NeXT and LLaVA-OneVision, as their own packing has it.

They join tiles to one grid, cut padding off, shrink it where it is large, and end each row with a
token that shows nothing. So the model packs the tokens' boxes in place of their features.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from memvr_integrations.backend.hosting.regions.placing import Floats, Placed

PACKED = ("llava_next", "llava_onevision")


def packed_boxes(
    model: nn.Module, tiles: Sequence[Placed], side: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """The boxes of all tokens of a picture whose tiles have `side` times `side` tokens each."""
    width, height = size
    edges = torch.from_numpy(np.stack([_unclipped(tile, side) for tile in tiles]))
    # Typed as if it could be a tensor; both families have it, in two forms.
    inner: Any = model.base_model
    given = [[edges], torch.tensor([[height, width]])]
    if inner.config.model_type == "llava_next":
        given.append("full")
    ends = torch.full((4,), torch.nan, dtype=edges.dtype)
    found, _ = inner.pack_image_features(*given, image_newline=ends)
    boxes = found[0].numpy().clip(0, [width, height, width, height])
    gone = (boxes[:, 2] - boxes[:, 0] <= 1e-6) | (boxes[:, 3] - boxes[:, 1] <= 1e-6)
    boxes[gone] = np.nan
    return np.asarray(boxes, dtype=np.float32)


def _unclipped(tile: Placed, side: int) -> Floats:
    """The boxes of a tile's cells as if the picture went on in its padding."""
    if tile.across is None or tile.down is None:
        return np.full((side * side, 4), np.nan)
    across = tile.across.at(np.linspace(0, tile.width, side + 1))
    down = tile.down.at(np.linspace(0, tile.height, side + 1))
    left, top = np.meshgrid(across[:-1], down[:-1])
    right, bottom = np.meshgrid(across[1:], down[1:])
    return np.stack([one.ravel() for one in (left, top, right, bottom)], 1)
