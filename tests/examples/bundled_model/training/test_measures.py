"""What a running training is measured by, and how its log is read."""

import json
import random

import numpy as np
import pytest
import torch
from bundled_model.training import marking, slot_attention
from bundled_model.training.marking import marks
from bundled_model.training.model import build_model, build_processor, open_tokenizer
from bundled_model.training.packing import Packer
from bundled_model.training.patch_targets import overlap, readings, targets
from bundled_model.training.stages.joint import Talker
from bundled_model.training.supply import pixels
from bundled_model.training.training_log import read_log
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world import (
    CLASSES,
    COLORS,
    GRID,
    SPRITES,
    THEMES,
    Sprites,
    draw_scene,
)


@pytest.fixture(scope="module")
def drawn():
    rng, sprites = random.Random(1), Sprites(SPRITES)
    return [draw_scene(rng, sprites, tuple(THEMES)) for _ in range(12)]


def test_every_patch_knows_the_thing_that_it_shows(drawn):
    truth = targets(drawn)
    for index, scene in enumerate(drawn):
        things = {thing.name: thing for thing in scene.things}
        for patch in truth.classes[index].nonzero().flatten().tolist():
            thing = things[CLASSES[int(truth.classes[index, patch]) - 1]]
            color = int(truth.colors[index, patch])
            assert (list(COLORS)[color - 1] if color else None) == thing.color
            assert int(truth.counts[index, patch]) == min(thing.count, 5) - 1
            box = tuple(truth.boxes[index, patch].tolist())
            assert any(box == pytest.approx(one) for one in thing.boxes)
            row, column = divmod(patch, GRID)
            left, top, right, bottom = (value * GRID for value in box)
            assert left < column + 1
            assert right > column
            assert top < row + 1
            assert bottom > row


def test_perfect_readings_are_perfect(drawn):
    truth = targets(drawn)
    one_hot = torch.nn.functional.one_hot
    read = (
        one_hot(truth.classes, len(CLASSES) + 1).float(),
        one_hot(truth.colors, len(COLORS) + 1).float(),
        one_hot(truth.counts, 5).float(),
        truth.boxes,
    )
    assert all(float(value) == 1 for value in readings(read, truth).values())


def test_overlap_is_intersection_over_union():
    one = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert float(overlap(one, one)) == 1
    assert float(overlap(one, torch.tensor([0.5, 0.0, 1.5, 1.0]))) == pytest.approx(1 / 3)
    assert float(overlap(one, torch.tensor([2.0, 0.0, 3.0, 1.0]))) == 0


def test_an_answer_is_marked_as_its_own_kind_wherever_it_lies_in_the_slots(monkeypatch):
    """A model that has everything right but JSON fails in JSON alone."""
    packer = Packer()
    brace = packer.encode(' {"scene"')[1]

    def all_but_json(llava, packer, features, packed: slot_attention.Slots):
        targets = packed.labels[:, 1:][packed.labels[:, 1:] >= 0]
        said = torch.where(targets == brace, 0, targets)
        return torch.nn.functional.one_hot(said, 1024).float(), targets, targets

    monkeypatch.setattr(marking, "answer_logits", all_but_json)
    monkeypatch.setattr(marking, "_SCENES", 24)
    model = Talker(build_model(layers=1, width=32, heads=2)).eval()
    found = marks(model, packer, SPRITES, FIRST_THEMES, "new ")
    assert found.pop("new json") == pytest.approx(0)
    assert found.pop("new adversarial") == 1
    assert len(found) > 8
    assert set(found.values()) == {1}


def test_runs_that_went_on_with_the_weights_count_as_one(tmp_path):
    lines = [
        {"stage": "vision", "step": 50, "minutes": 1.5, "loss": 4, "images/s": 30.0},
        {"stage": "joint", "step": 50, "minutes": 1.0, "loss": 3.0},
        {"stage": "joint", "step": 80, "minutes": 2.0, "loss": 2.5, "yes/no": 0.5},
        {"stage": "joint", "step": 80, "minutes": 3.0, "loss": 2.0},
        {"stage": "joint", "step": 90, "minutes": 4.0, "loss": 1.5},
        {"stage": "joint", "step": 50, "minutes": 0.5, "loss": 1.0},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    entries = list(read_log(log))
    read = [f"{one.stage} {one.step}" for one in entries]
    assert read == ["vision 50", "joint 50", "joint 80", "joint 160", "joint 170", "joint 220"]
    assert [one.minutes for one in entries] == pytest.approx([1.5, 1.0, 2.0, 5.0, 6.0, 6.5])
    assert entries[0].figures == {"loss": 4.0}
    assert entries[2].figures == {"loss": 2.5, "yes/no": 0.5}


def test_pictures_reach_training_as_the_processor_makes_them(scenes):
    processor = build_processor(open_tokenizer()).image_processor
    made = processor(images=[scene.pixels for scene in scenes], return_tensors="pt")
    seen = pixels(scenes, np.random.default_rng(0))
    same = [
        torch.allclose(a, b, atol=1e-5) for a, b in zip(made["pixel_values"], seen, strict=True)
    ]
    assert any(same)  # the others are degraded
