"""How well a map points at boxes, and what its hottest parts are to the model."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from memvr_integrations.explain.reading import Reader, Target
from memvr_integrations.explain.regions import Regions

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in a picture's pixels."""

_STEPS = 8  # of hiding or showing visual tokens, hottest first


def touching(regions: Regions, boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Which visual tokens show a part of any box, (tokens,) bool."""
    left, top, right, bottom = regions.boxes.T
    inside = np.zeros(len(regions.boxes), dtype=bool)
    for box in boxes:
        across = np.minimum(right, box[2]) - np.maximum(left, box[0])
        down = np.minimum(bottom, box[3]) - np.maximum(top, box[1])
        inside |= (across > 0) & (down > 0)
    return inside


def points(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> bool:
    """Whether the hottest visual token is inside: the pointing game."""
    return bool(inside[int(values.argmax())])


def box_at_k(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Which share of the k hottest is inside, k as many as there are inside."""
    hottest = np.argsort(-values, kind="stable")[: int(inside.sum())]
    return float(inside[hottest].mean())


def overlap(one: Box, two: Box) -> float:
    """Intersection over union of two boxes."""
    across = min(one[2], two[2]) - max(one[0], two[0])
    down = min(one[3], two[3]) - max(one[1], two[1])
    common = max(across, 0.0) * max(down, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two))
    return common / (areas - common) if common else 0.0


@torch.no_grad()
def curves(reader: Reader, target: Target, values: NDArray[np.float32]) -> tuple[float, float]:
    """Deletion and insertion: the mean probability while the hottest are hidden, or shown, first.

    A picture's mean token is what is seen where one is hidden. Low deletion and high insertion are
    good: few tokens carried the answer.
    """
    order = torch.from_numpy(np.argsort(-values, kind="stable").copy())
    counts = [round(len(order) * step / _STEPS) for step in range(_STEPS + 1)]
    gone = []
    for count in counts:
        hidden = torch.zeros(len(order), dtype=torch.bool)
        hidden[order[:count]] = True
        gone += [hidden, ~hidden]
    logits = reader.logits([reader.visual.without(one, reader.spans) for one in gone])
    chances = logits[:, target.place].softmax(-1)[:, target.token].cpu().numpy()
    deletion, insertion = (float(np.trapezoid(chances[at::2], dx=1 / _STEPS)) for at in (0, 1))
    return deletion, insertion
