import random

import numpy as np
from bundled_model.art.restyle import restyle

from memvr_integrations.bundled.world.scenes import SPRITES, Sprites


def drawn(seed):
    rng = random.Random(seed)
    art = Sprites(SPRITES).pick("horse", rng)
    return np.asarray(art), np.asarray(restyle(art, rng))


def test_the_same_seed_draws_the_same():
    for seed in range(10):
        assert np.array_equal(drawn(seed)[1], drawn(seed)[1])


def test_the_thing_stays_where_it_was():
    """Bent and outlined, but no other shape: the masks overlap."""
    for seed in range(25):
        before, after = (pixels[..., 3] > 90 for pixels in drawn(seed))
        assert (before & after).sum() / (before | after).sum() > 0.6


def test_no_two_look_alike():
    looks = {drawn(seed)[1].tobytes() for seed in range(25)}
    assert len(looks) > 20


def test_a_sprite_is_left_as_it_was():
    art = Sprites(SPRITES).pick("cup", random.Random(1))
    before = art.tobytes()
    for seed in range(20):
        restyle(art, random.Random(seed))
    assert art.tobytes() == before
