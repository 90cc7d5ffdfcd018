import random

from bundled_model.conversations.corpus import undrawn
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world.words import CLASSES, THEMES, classes_of


def test_scenes_without_a_drawing_are_like_drawn_ones():
    rng = random.Random(0)
    for _ in range(200):
        scene = undrawn(rng)
        assert scene.names <= set(CLASSES)
        assert 1 <= sum(thing.count for thing in scene.things) <= 8
        for thing in scene.things:
            assert len(thing.boxes) == thing.count
            assert list(thing.centers) == sorted(thing.centers)


def test_scenes_are_of_the_themes_that_are_asked_for():
    rng = random.Random(0)
    scenes = [undrawn(rng, FIRST_THEMES) for _ in range(60)]
    assert {scene.theme for scene in scenes} == set(FIRST_THEMES) < set(THEMES)
    assert frozenset().union(*(scene.names for scene in scenes)) <= set(classes_of(FIRST_THEMES))
