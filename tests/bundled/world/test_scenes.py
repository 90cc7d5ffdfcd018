import random

import numpy as np
import pytest
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world import (
    CLASSES,
    GRID,
    PAINTABLE,
    PARTNER,
    SIDE,
    SPRITES,
    THEMES,
    Sprites,
    classes_of,
    draw_scene,
    sample_names,
)


@pytest.fixture(scope="module")
def sprites():
    return Sprites(SPRITES)


def drawn(sprites, count, themes=FIRST_THEMES):
    return [draw_scene(random.Random(seed), sprites, themes) for seed in range(count)]


def test_the_same_seed_draws_the_same_pixels(sprites):
    one, other = (draw_scene(random.Random(5), sprites, FIRST_THEMES) for _ in range(2))
    assert np.array_equal(one.pixels, other.pixels)
    assert one.things == other.things


def test_every_class_has_art(sprites):
    rng = random.Random(0)
    assert all(sprites.pick(name, rng).mode == "RGBA" for name in CLASSES)


def test_patches_name_only_what_is_there(sprites):
    for scene in drawn(sprites, 40, tuple(THEMES)):
        assert scene.pixels.shape == (SIDE, SIDE, 3)
        assert scene.patches.shape == (GRID, GRID)
        shown = {CLASSES[label - 1] for label in scene.patches.flatten() if label}
        assert shown <= scene.names
        assert shown  # something is always large enough to fill a patch


def test_truth_is_in_order_and_in_range(sprites):
    for scene in drawn(sprites, 40):
        assert 1 <= sum(thing.count for thing in scene.things) <= 8
        for thing in scene.things:
            assert list(thing.centers) == sorted(thing.centers)
            assert all(0 < x < 1 and 0 < y < 1 for x, y in thing.centers)
            assert thing.color is None or thing.name in PAINTABLE


def test_paint_changes_the_pixels_where_the_thing_is(sprites):
    """A painted plate is as red as it says, at its middle."""
    seen = 0
    for scene in drawn(sprites, 150, ("kitchen",)):
        for thing in scene.things:
            if thing.name == "plate" and thing.color == "red":
                x, y = thing.centers[0]
                red, green, blue = scene.pixels[int(y * SIDE), int(x * SIDE)].astype(int)
                assert red > green + 60
                assert red > blue + 60
                seen += 1
    assert seen


def test_partners_come_together_more_often_than_others():
    rng = random.Random(1)
    sets = [set(sample_names(rng, FIRST_THEMES)[1]) for _ in range(3000)]

    def rate(name, among):
        return sum(name in names for names in among) / len(among)

    with_fork = [names for names in sets if "fork" in names]
    assert PARTNER["fork"] == "knife"
    assert rate("knife", with_fork) > 1.5 * rate("knife", sets)


def test_classes_of_other_themes_never_appear():
    rng = random.Random(2)
    known = set(classes_of(FIRST_THEMES))
    assert all(set(sample_names(rng, FIRST_THEMES)[1]) <= known for _ in range(500))
