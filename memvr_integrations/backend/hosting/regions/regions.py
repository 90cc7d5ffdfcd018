"""From a picture's visual tokens to their places in it, as they were before any processing."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from torch import Tensor

from memvr_integrations.backend.hosting.regions.layouts import LAYOUTS, Processed, unknown
from memvr_integrations.backend.hosting.regions.packed import packed
from memvr_integrations.backend.hosting.regions.placing import (
    Floats,
    Size,
    UnplacedError,
    levels,
    one_copy,
    ramps,
)
from memvr_integrations.explain.regions import Regions

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from memvr_integrations.backend.hosting.host import Host
    from memvr_integrations.backend.hosting.prompts.writer import Picture
    from memvr_integrations.backend.hosting.vision import Features

Prepare: TypeAlias = Callable[[Sequence[PIL.Image.Image]], Mapping[str, Tensor]]

_LAYOUTS = LAYOUTS | {"llava_next": packed, "llava_onevision": packed}
# Whose tokens are learnt queries that read all of a picture.
_RESAMPLED = {"memvr_qwen_vl"}
_SLIVER = 0.02  # of a token's side: what less of it shows of the picture comes from rounding
_SIZES = 128  # are kept, of 16 bytes a token each

logger = logging.getLogger(__name__)


def regions_of(
    host: "Host", picture: "Picture", features: "Features", *, in_company: bool = False
) -> Regions:
    """Where a picture's visual tokens lie in it; `in_company` of others in its prompt.

    Where that is not known, `Regions.patches` is False and no token lies anywhere.
    """
    return host.regions.of(picture.image.size, features.count, in_company=in_company)


class RegionFinder:
    """Finds the regions of one model's pictures, once a size: nothing else of a picture counts.

    `prepare` gives what the model's processor makes of copies of one picture; `company_counts`
    says that it makes something else of a picture that others stand beside.
    """

    def __init__(
        self, settings: "PretrainedConfig", prepare: Prepare, *, company_counts: bool
    ) -> None:
        self._settings, self._prepare = settings, prepare
        self._company_counts = company_counts
        self._known: OrderedDict[tuple[Size, int, int], Regions] = OrderedDict()

    def of(self, size: Size, count: int, *, in_company: bool) -> Regions:
        """The regions of a (width, height) that became `count` visual tokens."""
        copies = 2 if in_company and self._company_counts else 1
        key = size, count, copies
        if key not in self._known:
            self._known[key] = self._found(size, count, copies)
            if len(self._known) > _SIZES:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _found(self, size: Size, count: int, copies: int) -> Regions:
        kind = self._settings.model_type
        nowhere = np.full((count, 4), np.nan, np.float32)
        if kind in _RESAMPLED:
            return Regions(size=size, boxes=nowhere, patches=False)
        try:
            boxes = _LAYOUTS.get(kind, unknown)(self._processed(size, count, copies))
            if len(boxes) != count:
                raise UnplacedError(f"{count} tokens, and {len(boxes)} places for them")
        except UnplacedError as error:
            logger.debug("no places of %s for %d x %d pixels: %s", kind, *size, error)
            return Regions(size=size, boxes=nowhere, patches=False)
        return Regions(size=size, boxes=_within(boxes, size))

    def _processed(self, size: Size, count: int, copies: int) -> Processed:
        inputs: list[Mapping[str, Tensor]] = []
        pixels: list[Tensor] = []
        for picture in ramps(size):
            inputs.append(self._prepare([picture] * copies))
            pixels.append(one_copy(inputs[-1], copies))
        return Processed(
            pixels=levels(*pixels),
            inputs=inputs[-1],
            size=size,
            count=count,
            settings=self._settings,
        )


def _within(boxes: Floats, size: Size) -> NDArray[np.float32]:
    """Boxes without what lies outside of the picture; NaN where nothing is left."""
    width, height = size
    inside = boxes.clip(0, [width, height, width, height])
    sides, left = (own[:, 2:] - own[:, :2] for own in (boxes, inside))
    # A comparison with NaN is false.
    inside[~(left > _SLIVER * sides).all(1)] = np.nan
    return inside.astype(np.float32)
