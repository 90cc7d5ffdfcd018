import random

import numpy as np
import torch
from bundled_model.training import supply
from bundled_model.training.model import build_processor, open_tokenizer
from bundled_model.training.supply import Scenes, TrainingArt, pixels
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world.scenes import SPRITES


def test_art_is_drawn_anew_as_often_as_asked():
    rng = random.Random(0)
    plain, mixed = (TrainingArt(SPRITES, restyled=share) for share in (0.0, 0.5))
    known = {plain.pick("cow", rng).tobytes() for _ in range(60)}
    anew = [mixed.pick("cow", rng).tobytes() not in known for _ in range(200)]
    assert 60 < sum(anew) < 140


def drawn(rng, batches, *, size=6, fresh=0.5):
    """The scenes of some batches, told apart by numbers."""
    scenes = Scenes(TrainingArt(SPRITES, restyled=0.0), FIRST_THEMES)
    seen = [scenes.batch(rng, size, fresh) for _ in range(batches)]
    assert {len(batch) for batch in seen} == {size}
    known = {}
    return [known.setdefault(id(scene), len(known)) for batch in seen for scene in batch]


def test_scenes_come_back_but_not_only(monkeypatch):
    monkeypatch.setattr(supply, "_ENOUGH", 6)
    seen = drawn(random.Random(1), 5)
    assert len(set(seen)) == 6 + 4 * 3


def test_no_scene_comes_back_while_there_are_few(monkeypatch):
    monkeypatch.setattr(supply, "_ENOUGH", 20)
    seen = drawn(random.Random(1), 6)
    assert seen[:24] == list(range(24))
    assert len(set(seen)) == 24 + 2 * 3


def test_a_batch_of_nothing_is_empty():
    assert drawn(random.Random(1), 1, size=0) == []


def test_pictures_reach_training_as_the_processor_makes_them(scenes):
    processor = build_processor(open_tokenizer()).image_processor
    made = processor(images=[scene.pixels for scene in scenes], return_tensors="pt")
    seen = pixels(scenes, np.random.default_rng(0))
    same = [
        torch.allclose(a, b, atol=1e-5) for a, b in zip(made["pixel_values"], seen, strict=True)
    ]
    assert any(same)  # the others are degraded
