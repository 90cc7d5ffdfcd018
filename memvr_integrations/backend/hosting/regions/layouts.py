"""How each family makes visual tokens of the pixels that its tower reads.

A layout has the levels of `placing` in place of pixels, and gives a box a token, (tokens, 4), in
the original's pixels: outside of it where padding is, NaN where a token shows no place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from memvr_integrations.backend.hosting.regions.placing import (
    Floats,
    Size,
    UnplacedError,
    View,
    joined,
    placed,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True, kw_only=True)
class Processed:
    """What a processor made of one picture: levels of its pixels, and how they are cut.

    `count` is how many visual tokens the picture has.
    """

    pixels: Floats
    inputs: Mapping[str, Tensor]
    size: Size
    count: int
    settings: "PretrainedConfig"

    @property
    def patch(self) -> int:
        """The side of the tower's patches in pixels."""
        tower = getattr(self.settings, "vision_config", None)
        return side(getattr(tower, "patch_size", None))

    @property
    def views(self) -> Floats:
        """The levels of all pictures that the tower reads, (views, 3, height, width)."""
        if self.pixels.ndim not in (4, 5) or self.pixels.shape[-3] != 3:
            raise UnplacedError(f"pixels of shape {self.pixels.shape} are no pictures")
        return self.pixels.reshape(-1, *self.pixels.shape[-3:])


Layout = Callable[[Processed], Floats]

NOWHERE: Floats = np.full((1, 4), np.nan)


def side(given: object) -> int:
    """A length that settings may have twice, for width and height.

    Raises:
        UnplacedError: The two differ.
    """
    sides = set(given) if isinstance(given, list | tuple) else {given}
    if len(sides) != 1 or not isinstance(length := sides.pop(), int):
        raise UnplacedError(f"cells of {given} pixels are not square")
    return length


def cells(length: int, step: int, start: float = 0) -> Floats:
    """As many whole steps as there are in a length of pixels, (cells, 2); a rest is not read."""
    starts = start + step * np.arange(length // step, dtype=np.float64)
    return np.stack([starts, starts + step], axis=1)


def grid(view: View, step: int) -> Floats:
    """A token a square of a whole view, row by row."""
    return view.boxes(cells(view.width, step), cells(view.height, step))


def whole_views(processed: Processed, step: int) -> Floats:
    """Each view by itself: the picture, and crops of it if there are any."""
    views = (placed(view, processed.size) for view in processed.views)
    return np.concatenate([grid(view, step) for view in views])


def tiles(processed: Processed, step: int) -> Floats:
    """Tiles row by row, then the picture as a whole; or that alone."""
    *cut, whole = processed.views
    last = grid(placed(whole, processed.size), step)
    if not cut:
        return last
    view, corners = joined(np.stack(cut), processed.size)
    height, width = whole.shape[-2:]
    each = [view.boxes(cells(width, step, left), cells(height, step, top)) for left, top in corners]
    return np.concatenate([*each, last])


def _llava(processed: Processed) -> Floats:
    boxes = whole_views(processed, processed.patch)
    settings = processed.settings
    strategy = getattr(settings, "vision_feature_select_strategy", "default")
    if strategy == "full" and settings.vision_config.model_type == "clip_vision_model":
        return np.concatenate([NOWHERE, boxes])  # the class token
    return boxes


def _pooled(processed: Processed) -> Floats:
    settings = processed.settings
    patches = side(settings.vision_config.image_size) // processed.patch
    pooled = patches // int(settings.mm_tokens_per_image**0.5)
    return whole_views(processed, pooled * processed.patch)


def _merged(processed: Processed) -> Floats:
    """Patches lie in one sequence, those that become one token next to each other."""
    merge, patch = processed.settings.vision_config.spatial_merge_size, processed.patch
    _, rows, columns = processed.inputs["image_grid_thw"][0].tolist()
    own = processed.pixels.reshape(
        rows // merge, columns // merge, merge, merge, 3, -1, patch, patch
    )
    # One of the equal frames that a still picture becomes.
    picture = own[:, :, :, :, :, 0].transpose(4, 0, 2, 5, 1, 3, 6)
    view = placed(picture.reshape(3, rows * patch, columns * patch), processed.size)
    return grid(view, merge * patch)


def _positioned(processed: Processed) -> Floats:
    """Patches come with their places, and padding after them."""
    patch = processed.patch
    places = processed.inputs["image_position_ids"][0].numpy()
    real = (places >= 0).all(-1)
    columns, rows = places[real].max(0) + 1
    picture = np.full((rows, columns, patch, patch, 3), np.nan)
    across, down = places[real].T
    picture[down, across] = processed.pixels[0, real].reshape(-1, patch, patch, 3)
    picture = picture.transpose(4, 0, 2, 1, 3).reshape(3, rows * patch, columns * patch)
    pooled = processed.settings.vision_config.pooling_kernel_size
    return grid(placed(picture, processed.size), pooled * patch)


def _framed(processed: Processed) -> Floats:
    return np.concatenate([NOWHERE, whole_views(processed, 2 * processed.patch), NOWHERE])


def _internvl(processed: Processed) -> Floats:
    return tiles(processed, round(processed.patch / processed.settings.downsample_ratio))


def unknown(processed: Processed) -> Floats:
    """One token a patch of one picture: as many as there are patches is what proves it.

    Raises:
        UnplacedError: They are more or fewer, or there are several pictures.
    """
    if len(processed.views) != 1:
        raise UnplacedError(f"{len(processed.views)} views, in an order that is not known")
    height, width = processed.views.shape[-2:]
    if height % processed.patch or width % processed.patch:
        raise UnplacedError(f"{width} x {height} pixels are no whole patches")
    return whole_views(processed, processed.patch)


_READ_AS_A_SEQUENCE = (
    "glm46v",
    "glm4v",
    "glm4v_moe",
    "qwen2_5_vl",
    "qwen2_vl",
    "qwen3_5",
    "qwen3_vl",
    "qwen3_vl_moe",
)
LAYOUTS: dict[str, Layout] = dict.fromkeys(_READ_AS_A_SEQUENCE, _merged) | {
    "aya_vision": lambda own: tiles(own, own.patch * own.settings.downsample_factor),
    "gemma3": _pooled,
    "gemma4": _positioned,
    "idefics3": lambda own: tiles(own, own.patch * own.settings.scale_factor),
    "internvl": _internvl,
    "llava": _llava,
    "memvr_glm_4v": _framed,
    "mistral3": lambda own: whole_views(own, own.patch * own.settings.spatial_merge_size),
    "paligemma": lambda own: whole_views(own, own.patch),
    "smolvlm": lambda own: tiles(own, own.patch * own.settings.scale_factor),
    "vipllava": lambda own: whole_views(own, own.patch),
}
"""By model type: what tests/backend/hosting/regions shows with marks in pictures."""
