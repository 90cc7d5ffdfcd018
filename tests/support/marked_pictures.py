"""Which of a picture's visual tokens change when a mark is painted into it."""

from dataclasses import dataclass
from random import Random

import numpy as np
import PIL.Image
import torch

from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.explain.regions import Regions

# Of a tower's attention, what it adds to a patch.
_OUTPUTS = ("out_proj.", "o_proj.", "proj.", "projection_layer.")
Box = tuple[float, float, float, float]


def keep_to_patches(model: torch.nn.Module) -> None:
    """Let no patch of a tower know of the others: attention adds nothing to any.

    In a tiny tower of random weights a mark would change all tokens, and all about as much.
    """
    silenced = 0
    with torch.no_grad():
        for name, weight in model.named_parameters():
            tower = "vision" in name or "visual" in name
            attention = "attn" in name or "attention" in name
            if tower and attention and any(output in name for output in _OUTPUTS):
                weight.zero_()
                silenced += 1
    assert silenced >= 2, "no attention was found in the tower"


def grey(size: tuple[int, int], mark: Box | None = None) -> Picture:
    """A grey picture, white where its mark is."""
    width, height = size
    pixels = np.full((height, width, 3), 96, np.uint8)
    if mark is not None:
        left, top, right, bottom = map(int, mark)
        pixels[top:bottom, left:right] = 255
    return Picture(image=PIL.Image.fromarray(pixels), hash=f"{size} {mark}")


def marks(size: tuple[int, int], random: Random, *, inner: int = 2) -> list[Box]:
    """A mark in each corner, one in the middle and some within, a twelfth of each side."""
    wide, tall = (max(1, round(side / 12)) for side in size)
    right, bottom = size[0] - wide, size[1] - tall
    starts = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)]
    starts += [(random.randint(0, right), random.randint(0, bottom)) for _ in range(inner)]
    return [(left, top, left + wide, top + tall) for left, top in starts]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How far each token moved, and each box's distance from the mark.

    All (tokens,). Distances are in sides of the box and in pixels, 0 where the two overlap and
    infinity for a token that is nowhere.
    """

    moved: np.ndarray
    sides: np.ndarray
    pixels: np.ndarray


def tokens_of(host: Host, pictures: list[Picture]) -> list[torch.Tensor]:
    """The visual tokens of each picture of a prompt, (tokens, dim) each."""
    assert host.vision is not None
    return [torch.cat(one.evidence).float() for one in host.vision.encode([pictures])[0]]


def changes(host: Host, regions: Regions, mark: Box, company: list[Picture]) -> Changes:
    """What a mark changes in the first of the pictures of a prompt."""
    before, after = (
        tokens_of(host, [grey(regions.size, one), *company])[0] for one in (None, mark)
    )
    left, top, right, bottom = regions.boxes.astype(np.float64).T
    across = np.maximum(0, np.maximum(mark[0] - right, left - mark[2]))
    down = np.maximum(0, np.maximum(mark[1] - bottom, top - mark[3]))
    sides = np.maximum(across / (right - left), down / (bottom - top))
    return Changes(
        moved=(after - before).norm(dim=-1).numpy(),
        sides=np.nan_to_num(sides, nan=np.inf),
        pixels=np.nan_to_num(np.maximum(across, down), nan=np.inf),
    )
