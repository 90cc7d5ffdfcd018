import random

import numpy as np
import pytest
from bundled_model.conversations.questions import absent, where
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world.scenes import Scene, Thing

EMPTY = np.zeros(0, np.uint8)


def scene(*things, theme="kitchen"):
    return Scene(theme=theme, things=things, pixels=EMPTY, patches=EMPTY)


CUPS = Thing(name="cup", color="red", centers=((0.1, 0.1), (0.2, 0.5), (0.9, 0.9)))
FORK = Thing(name="fork", color=None, centers=((0.7, 0.5),))


@pytest.mark.parametrize(
    ("center", "words"),
    [
        ((0.1, 0.9), "at the bottom left"),
        ((0.5, 0.1), "at the top"),
        ((0.9, 0.5), "on the right"),
        ((0.5, 0.5), "in the center"),
    ],
)
def test_places_in_words(center, words):
    assert where(center) == words


def test_what_is_asked_as_absent_is_absent():
    rng = random.Random(0)
    shown = scene(CUPS, FORK)
    asked = {absent(shown, rng, FIRST_THEMES) for _ in range(300)}
    assert not asked & shown.names
    assert {"spoon", "knife"} <= asked  # the partners, which tempt most
    assert any(name not in ("spoon", "knife") for name in asked)
