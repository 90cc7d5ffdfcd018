import random

import numpy as np
import torch
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.art import SPRITES
from memvr_integrations.bundled.model import build_processor, open_tokenizer
from memvr_integrations.bundled.supply import Scenes, TrainingArt, patch_labels, pixels


def test_art_is_drawn_anew_as_often_as_asked():
    rng = random.Random(0)
    plain, mixed = (TrainingArt(SPRITES, restyled=share) for share in (0.0, 0.5))
    known = {plain.pick("cow", rng).tobytes() for _ in range(60)}
    anew = [mixed.pick("cow", rng).tobytes() not in known for _ in range(200)]
    assert 60 < sum(anew) < 140


def test_scenes_come_back_but_not_only():
    supply = Scenes(TrainingArt(SPRITES, restyled=0.0), FIRST_THEMES)
    rng = random.Random(1)
    seen: list[int] = []
    for _ in range(4):
        batch = supply.batch(rng, 6, 0.5)
        assert len(batch) == 6
        assert patch_labels(batch).shape == (6, 64)
        seen += [id(scene) for scene in batch]
    assert 12 <= len(set(seen)) < 24


def test_pictures_reach_training_as_the_processor_makes_them(scenes):
    processor = build_processor(open_tokenizer()).image_processor
    made = processor(images=[scene.pixels for scene in scenes], return_tensors="pt")
    seen = pixels(scenes, np.random.default_rng(0))
    same = [
        torch.allclose(a, b, atol=1e-5) for a, b in zip(made["pixel_values"], seen, strict=True)
    ]
    assert any(same)  # the others are degraded
