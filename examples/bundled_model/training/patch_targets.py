"""What each patch of a scene shows, as targets for the image tower, and the heads that are asked.

The generator knows everything about a patch: its class, the paint, how many of its kind there are
and the box of the piece it belongs to. All of it is asked of every patch, so one picture teaches
as much as sixty-four answers. The heads are thrown away afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memvr_integrations.bundled.world import CLASSES, COLORS, GRID, Scene

BACKGROUND_WEIGHT = 0.3  # most patches are background; at full weight the tower learns only that
_MANY = 5  # this many and more are one count
_UNPAINTED_WEIGHT = 0.3
_SHARES = {"color": 0.3, "count": 0.5, "box": 0.5}

_PAINTS = {color: index + 1 for index, color in enumerate(COLORS)}


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Truth by patch.

    Shapes: `classes`, `colors`, `counts` (batch, patches): class and colour indices, 0 for
    background and unpainted, counts from 0 for one; `boxes` (batch, patches, 4) in 0..1. All but
    `classes` mean nothing at background patches.
    """

    classes: Tensor
    colors: Tensor
    counts: Tensor
    boxes: Tensor

    def to(self, device: str | torch.device) -> "Targets":
        """The same on a device."""
        return Targets(
            classes=self.classes.to(device),
            colors=self.colors.to(device),
            counts=self.counts.to(device),
            boxes=self.boxes.to(device),
        )


def targets(scenes: Sequence[Scene]) -> Targets:
    """The truth about every patch of some scenes."""
    colors, counts, boxes = [], [], []
    for scene in scenes:
        # Number 0 is the background's; pieces are counted from one.
        owners = [thing for thing in scene.things for _ in thing.boxes]
        paint = np.array([0, *(_PAINTS.get(thing.color or "", 0) for thing in owners)])
        count = np.array([0, *(min(thing.count, _MANY) - 1 for thing in owners)])
        box = np.array([(0.0,) * 4, *(box for thing in scene.things for box in thing.boxes)])
        pieces = scene.pieces.flatten()
        colors.append(paint[pieces])
        counts.append(count[pieces])
        boxes.append(box[pieces])
    classes = np.stack([scene.patches.flatten() for scene in scenes])
    return Targets(
        classes=torch.from_numpy(classes).long(),
        colors=torch.from_numpy(np.stack(colors)),
        counts=torch.from_numpy(np.stack(counts)),
        boxes=torch.from_numpy(np.stack(boxes)).float(),
    )


def patch_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over patches, background weighted down; `logits` (batch, patches, classes)."""
    weight = torch.ones(len(CLASSES) + 1, device=logits.device)
    weight[0] = BACKGROUND_WEIGHT
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight=weight)


def patch_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of patches with something in them that are named rightly."""
    there = labels > 0
    return (logits.argmax(-1) == labels)[there].float().mean()


class DenseHeads(nn.Module):
    """Linear readings of visual tokens: what is easy to read here is easy for a projector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = (len(CLASSES) + 1, len(COLORS) + 1, _MANY, 4)
        self.read = nn.Linear(width, sum(self.sizes))

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Logits of classes, colours and counts, and boxes, each (batch, patches, size)."""
        parts: tuple[Tensor, ...] = self.read(features).float().split(self.sizes, -1)
        return parts

    def losses(self, features: Tensor, truth: Targets) -> dict[str, Tensor]:
        """The weighted sum as "loss", and what is worth a look."""
        classes, colors, counts, boxes = self(features)
        there = truth.classes > 0
        weight = torch.ones(colors.shape[-1], device=colors.device)
        weight[0] = _UNPAINTED_WEIGHT
        asked = truth.colors[there]
        parts = {
            "color": F.cross_entropy(colors[there], asked, weight=weight),
            "count": F.cross_entropy(counts[there], truth.counts[there]),
            # In units of a patch.
            "box": F.smooth_l1_loss(boxes[there] * GRID, truth.boxes[there] * GRID, beta=0.25),
        }
        loss = patch_loss(classes, truth.classes)
        return {
            "loss": loss + sum(_SHARES[name] * part for name, part in parts.items()),
            **readings((classes, colors, counts, boxes), truth),
        }


def readings(read: tuple[Tensor, ...], truth: Targets) -> dict[str, Tensor]:
    """Shares of patches with the right class, colour (where painted), count and box (IoU > .5)."""
    classes, colors, counts, boxes = read
    there = truth.classes > 0
    painted = there & (truth.colors > 0)
    return {
        "patches": patch_accuracy(classes, truth.classes),
        "colors": (colors.argmax(-1) == truth.colors)[painted].float().mean().nan_to_num(),
        "counts": (counts.argmax(-1) == truth.counts)[there].float().mean(),
        "boxes": (overlap(boxes, truth.boxes) > 0.5)[there].float().mean(),
    }


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4) as left, top, right, bottom."""
    shared = (
        torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])
    ).clamp(min=0)
    areas = [(box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1) for box in (one, other)]
    common = shared.prod(-1)
    return common / (areas[0] + areas[1] - common).clamp(min=1e-9)
