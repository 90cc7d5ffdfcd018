import random

import pytest
import torch
from bundled_model.training.dense import DenseHeads, overlap, readings, targets

from memvr_integrations.bundled.world.scenes import GRID, SPRITES, Sprites, draw_scene
from memvr_integrations.bundled.world.words import CLASSES, COLORS, THEMES


@pytest.fixture(scope="module")
def drawn():
    rng, sprites = random.Random(1), Sprites(SPRITES)
    return [draw_scene(rng, sprites, tuple(THEMES)) for _ in range(12)]


def test_every_patch_tells_of_the_thing_that_it_shows(drawn):
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


def test_the_heads_can_learn(drawn):
    torch.manual_seed(0)
    truth = targets(drawn)
    heads, features = DenseHeads(64), torch.randn(len(drawn), GRID * GRID, 64)
    optimizer = torch.optim.Adam(heads.parameters(), lr=0.01)
    losses = []
    for _ in range(12):
        loss = heads.losses(features, truth)["loss"]
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def test_overlap_is_intersection_over_union():
    one = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert float(overlap(one, one)) == 1
    assert float(overlap(one, torch.tensor([0.5, 0.0, 1.5, 1.0]))) == pytest.approx(1 / 3)
    assert float(overlap(one, torch.tensor([2.0, 0.0, 3.0, 1.0]))) == 0
