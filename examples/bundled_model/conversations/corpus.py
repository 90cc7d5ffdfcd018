"""The text that the tokenizer is built from: conversations about scenes that are not drawn."""

import random
from collections.abc import Iterator, Sequence

import numpy as np

from bundled_model.conversations.interview import Interview
from bundled_model.conversations.pairs import compare
from memvr_integrations.bundled.world import (
    CLASSES,
    COLORS,
    NUMBERS,
    PAINTABLE,
    THEMES,
    Box,
    Scene,
    Thing,
    plural,
    sample_names,
)

_SCENES = 800
_HALF = 0.12  # of a piece's side, in a scene that is not drawn
_OFTEN = 120  # a word that comes this often becomes one token


def corpus() -> Iterator[str]:
    """What is asked and answered, and every class and plural often enough to become one token."""
    rng = random.Random(0)
    themes = tuple(THEMES)
    before = undrawn(rng)
    for _ in range(_SCENES):
        scene = undrawn(rng)
        talks = [*Interview(scene, rng, themes).talks(10), compare(before, scene, rng, themes)]
        before = scene
        for talk in talks:
            for turn in talk.turns:
                yield f"USER: \n{turn.question} ASSISTANT: {turn.answer}"
                yield f"USER: {turn.question} ASSISTANT:"
    for name in CLASSES:
        yield from [f" {name} {plural(name)} a {name}"] * _OFTEN
    yield from [" " + " ".join(NUMBERS)] * _OFTEN


def undrawn(rng: random.Random, themes: Sequence[str] = tuple(THEMES)) -> Scene:
    """A scene of one of the themes without a drawing: black pixels."""
    theme, names = sample_names(rng, themes)
    things: list[Thing] = []
    for name in names:
        room = 9 - len(names) - sum(thing.count for thing in things)
        count = min(rng.choice((1, 1, 2, 3, 4)), max(room, 1))
        centers = sorted((rng.uniform(0.15, 0.85), rng.uniform(0.15, 0.85)) for _ in range(count))
        color = rng.choice(list(COLORS)) if name in PAINTABLE else None
        boxes = tuple(_around(center) for center in centers)
        things.append(Thing(name=name, color=color, centers=tuple(centers), boxes=boxes))
    return Scene(
        theme=theme,
        things=tuple(things),
        pixels=np.zeros((128, 128, 3), np.uint8),
        patches=np.zeros((8, 8), np.uint8),
    )


def _around(center: tuple[float, float]) -> Box:
    x, y = center
    return x - _HALF, y - _HALF, x + _HALF, y + _HALF
