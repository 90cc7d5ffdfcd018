"""Held-out scenes whose truth is known, and questions about them.

The yes/no questions follow POPE: as many about what is absent as about what is there, the absent
ones chosen at random, among what is common (`popular`), or among what usually comes with the
things that are there (`adversarial`).
"""

import functools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memvr_integrations.bundled.world.scenes import Scene, Sprites, draw_scene, sample_names
from memvr_integrations.bundled.world.words import (
    CLASSES,
    classes_of,
    plural,
    surely_absent,
)
from memvr_integrations.evaluate.benchmarks.presence import SPLITS
from memvr_integrations.grounding.nouns import named

__all__ = [
    "CAPTION",
    "NEGATIVES",
    "SHORT",
    "Question",
    "exam",
    "held_out_scenes",
    "mentioned",
]

SHORT = " Answer yes or no."
"""What follows a question that wants one word."""

CAPTION = "Describe the image."
"""What a caption is asked for with."""

NEGATIVES = SPLITS
"""How the things that are absent were chosen; POPE's three splits."""

_PRIOR_SCENES = 20_000

_MENTIONS = {name: name for name in CLASSES} | {plural(name): name for name in CLASSES}
_MENTIONS["loaves"] = "bread"
# Before another name it is a colour.
_MENTIONS |= {f"orange {form}": name for form, name in _MENTIONS.items() if name != "orange"}


@dataclass(frozen=True, kw_only=True)
class Question:
    """Is there a `name` in scene number `scene`? `kind` is "positive" or one of `NEGATIVES`."""

    scene: int
    name: str
    kind: str

    @property
    def truth(self) -> bool:
        """Whether the right answer is yes."""
        return self.kind == "positive"


def held_out_scenes(
    count: int, *, themes: Sequence[str], seed: int, files: Sequence[Path]
) -> list[Scene]:
    """Fresh scenes in the art of the given sprite files; training never uses these seeds."""
    rng, sprites = random.Random(f"held out {seed}"), Sprites(*files)
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = draw_scene(rng, sprites, themes)
        if scene.things:
            scenes.append(scene)
    return scenes


def exam(scenes: Sequence[Scene], *, themes: Sequence[str], seed: int = 0) -> list[Question]:
    """Up to two questions of each kind about every scene."""
    known = classes_of(tuple(themes))
    common, together = _habits(tuple(themes))
    rng = random.Random(f"exam {seed}")
    questions = []
    for index, scene in enumerate(scenes):
        there = sorted(scene.names)
        absent = surely_absent(known, scene.names)
        size = min(2, len(there))
        chosen = {
            "positive": rng.sample(there, size),
            "random": rng.sample(absent, size),
            "popular": sorted(absent, key=lambda name: -common[name])[:size],
            "adversarial": sorted(
                absent, key=lambda name: -sum(together[other, name] for other in there)
            )[:size],
        }
        questions += [
            Question(scene=index, name=name, kind=kind)
            for kind, names in chosen.items()
            for name in names
        ]
    return questions


@functools.cache
def _habits(themes: tuple[str, ...]) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """How often a class comes, and how often two come together, by the generator's prior."""
    rng = random.Random("habits")
    common: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for _ in range(_PRIOR_SCENES):
        _, names = sample_names(rng, themes)
        common.update(names)
        together.update((one, other) for one in names for other in names if one != other)
    return common, together


def mentioned(text: str) -> set[str]:
    """The classes that a sentence names; "an orange cup" names no orange."""
    return set(named(text, _MENTIONS))
