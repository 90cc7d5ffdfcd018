import random

from memvr_integrations.bundled.corpus import undrawn
from memvr_integrations.bundled.words import CLASSES


def test_scenes_without_a_drawing_are_like_drawn_ones():
    rng = random.Random(0)
    for _ in range(200):
        scene = undrawn(rng)
        assert scene.names <= set(CLASSES)
        assert 1 <= sum(thing.count for thing in scene.things) <= 8
        for thing in scene.things:
            assert len(thing.boxes) == thing.count
            assert list(thing.centers) == sorted(thing.centers)
