"""What training looks at: scenes drawn as they are needed, as tensors."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bundled_model.art.degrade import KINDS, degrade
from bundled_model.art.restyle import restyle
from memvr_integrations.bundled.world import Drawing, Scene, Sprites, draw_scene

_DEGRADED = 0.25
_POOL = 2048
_ENOUGH = 512  # scenes in the pool before any is shown again: a resumed run begins with none
_KEPT = 24  # pieces of art drawn anew that are kept of each class
_AGAIN = 0.6  # chance to show one of them again


class TrainingArt(Sprites):
    """Sprites of which a share (0 to 1) is drawn anew, in a style of its own.

    What was drawn anew is shown a few times, since that is most of a scene's work.
    """

    def __init__(self, file: Path, *, restyled: float) -> None:
        super().__init__(file)
        self._restyled = restyled
        self._anew: dict[str, list[Image.Image]] = {}

    def pick(self, name: str, rng: random.Random) -> Image.Image:
        """A random piece of art that shows `name`."""
        if rng.random() >= self._restyled:
            return super().pick(name, rng)
        kept = self._anew.setdefault(name, [])
        if len(kept) == _KEPT and rng.random() < _AGAIN:
            return rng.choice(kept)
        art = restyle(super().pick(name, rng), rng)
        if len(kept) < _KEPT:
            kept.append(art)
        else:
            kept[rng.randrange(_KEPT)] = art
        return art


class Scenes:
    """An endless supply of scenes: a pool from which old ones leave as new ones are drawn."""

    def __init__(
        self, art: TrainingArt, themes: Sequence[str], drawing: Drawing | None = None
    ) -> None:
        self._art, self._themes = art, themes
        self._drawing = drawing or Drawing()
        self._pool: list[Scene] = []

    def batch(self, rng: random.Random, size: int, fresh: float) -> list[Scene]:
        """`size` scenes, a share of them (`fresh`, 0 to 1) never seen before; early on all are."""
        few = len(self._pool) < max(_ENOUGH, size)
        new = [
            draw_scene(rng, self._art, self._themes, self._drawing)
            for _ in range(size if few else round(size * fresh))
        ]
        old = rng.sample(self._pool, size - len(new))
        for scene in new:
            if len(self._pool) < _POOL:
                self._pool.append(scene)
            else:
                self._pool[rng.randrange(_POOL)] = scene
        return new + old


def pixels(scenes: list[Scene], noise: np.random.Generator) -> Tensor:
    """Normalised pictures (batch, 3, side, side) in -1..1, a quarter of them degraded."""
    pictures = []
    for scene in scenes:
        picture = scene.pixels
        if noise.random() < _DEGRADED:
            picture = degrade(picture, str(noise.choice(KINDS)), noise.random(), noise)
        pictures.append(picture)
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return stacked.float() / 127.5 - 1
