from pathlib import Path

import torch
from bundled_model.training.stages.vision import VisionStage, clear_pixels, watched_scenes
from bundled_model.training.trainer import TrainConfig

from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.bundled.world.words import THEMES

TINY = TrainConfig(steps=2, cooldown=1, batch=2, fresh=0.5, peak_lr=1e-3, precision="float32")


def test_a_step_teaches_the_tower(tmp_path: Path):
    stage = VisionStage(TINY, tmp_path)
    before = {name: value.clone() for name, value in stage.net.state_dict().items()}
    told = stage.one_step()
    assert told["loss"] > 0
    moved = {n for n, v in stage.net.state_dict().items() if not torch.equal(v, before[n])}
    assert any(name.startswith("tower.") for name in moved)
    assert any(name.startswith("heads.") for name in moved)


def test_watched_scenes_are_the_same_each_time():
    one, other = (watched_scenes(SPRITES, tuple(THEMES), 3) for _ in range(2))
    assert torch.equal(clear_pixels(one), clear_pixels(other))
    assert clear_pixels(one).abs().max() <= 1
