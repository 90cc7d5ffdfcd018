"""The first stage: the image tower learns to say of every patch what it shows."""

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bundled_model.training import patch_targets
from bundled_model.training.model import VISION_WIDTH, build_tower
from bundled_model.training.supply import Scenes, TrainingArt, pixels
from bundled_model.training.trainer import Stage, TrainConfig
from memvr_integrations.bundled.world import Drawing, Scene, Sprites, draw_scene

# Half of the scenes follow no theme's habits: rare things are learnt as well as common ones.
DRAWING = Drawing(anything=0.5, crowds=0.08)
_MEASURED = 192


class TowerAndHeads(nn.Module):
    """The tower and what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = build_tower()
        self.heads = patch_targets.DenseHeads(VISION_WIDTH)

    def features(self, images: Tensor) -> Tensor:
        """Visual tokens as LLaVA reads them: the last layer's, before the tower's own norm."""
        seen = self.tower(pixel_values=images, output_hidden_states=True)
        features: Tensor = seen.hidden_states[-1]
        return features


class VisionStage(Stage):
    """Dense targets for the tower."""

    name = "vision"
    net: TowerAndHeads
    work: TowerAndHeads
    average: TowerAndHeads

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        torch.manual_seed(config.seed)
        super().__init__(config, folder, TowerAndHeads())
        art = TrainingArt(config.art, restyled=config.restyled)
        self.scenes = Scenes(art, config.themes, DRAWING)
        self._kind = next(self.work.parameters()).dtype

    def losses(self, rng: random.Random, noise: np.random.Generator) -> dict[str, Tensor]:
        """Class, colour, count and box of every patch."""
        scenes = self.scenes.batch(rng, self.config.batch // self.world, self.config.fresh)
        images = pixels(scenes, noise).to(self.config.device, self._kind)
        truth = patch_targets.targets(scenes).to(self.config.device)
        return self.work.heads.losses(self.work.features(images), truth)

    @torch.inference_mode()
    def measure(self) -> dict[str, float]:
        """Shares of patches read rightly, in the art of training and in the watched art."""
        figures = {}
        files = {"": self.config.art} | (
            {"unseen ": self.config.watch} if self.config.watch else {}
        )
        for label, file in files.items():
            scenes = watched_scenes(file, self.config.themes)
            images = clear_pixels(scenes).to(self.config.device)
            truth = patch_targets.targets(scenes).to(self.config.device)
            read = self.average.heads(self.average.features(images))
            for name, value in patch_targets.readings(read, truth).items():
                figures[f"new {label}{name}"] = float(value)
        return figures


def watched_scenes(file: Path, themes: tuple[str, ...], count: int = _MEASURED) -> list[Scene]:
    """The scenes that a running training is measured on; no evaluation uses their seed."""
    rng, sprites = random.Random("watched"), Sprites(file)
    return [draw_scene(rng, sprites, themes) for _ in range(count)]


def clear_pixels(scenes: list[Scene]) -> Tensor:
    """Normalised pictures (batch, 3, side, side) in -1..1, as they were drawn."""
    stacked = torch.from_numpy(np.stack([scene.pixels for scene in scenes]))
    return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1
