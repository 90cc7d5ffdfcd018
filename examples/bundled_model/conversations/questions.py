"""Questions about a scene and their true answers, phrased as people phrase them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from memvr_integrations.bundled.world import (
    NUMBERS,
    PARTNER,
    THEMES,
    Scene,
    Thing,
    classes_of,
    plural,
    surely_absent,
    with_article,
)

_PLACES = ("image", "picture", "photo", "scene")
_EXIST = (
    "Is there {a} in the {place}?",
    "Is there {a} in the {place}?",
    "Do you see {a}?",
    "Can you see {a} in the {place}?",
    "Is there any {c} here?",
    "Does the {place} contain {a}?",
    "Does the {place} show {a}?",
    "Are there any {p} in the {place}?",
    "Is there {a}?",
)
_COUNTS = (
    "How many {p} are there?",
    "How many {p} are in the {place}?",
    "How many {p} do you see?",
    "Count the {p}.",
)
NO_IMAGE = "I don't see an image."


@dataclass(frozen=True)
class Turn:
    """A question and its answer; `blind` ones are asked without the image."""

    question: str
    answer: str
    blind: bool = False


def where(center: tuple[float, float]) -> str:
    """A center in words: (0.1, 0.9) -> "at the bottom left"."""
    x, y = center
    across = "left" if x < 0.4 else "right" if x > 0.6 else ""
    down = "top" if y < 0.4 else "bottom" if y > 0.6 else ""
    if down:
        return f"at the {down} {across}".rstrip()
    return f"on the {across}" if across else "in the center"


def phrase(thing: Thing, *, color: bool = True) -> str:
    """A thing as a noun phrase: "two red cups"."""
    paint = f"{thing.color} " if thing.color and color else ""
    if thing.count == 1:
        return with_article(paint + thing.name)
    return f"{NUMBERS[thing.count]} {paint}{plural(thing.name)}"


def existence_question(name: str, rng: random.Random) -> str:
    """A yes/no question about a class."""
    return rng.choice(_EXIST).format(
        a=with_article(name), c=name, p=plural(name), place=rng.choice(_PLACES)
    )


def absent(scene: Scene, rng: random.Random, themes: Sequence[str]) -> str:
    """A class that is not there: any one, one of the theme, or the partner of what is there."""
    roll = rng.random()
    pool: list[str] = []
    if roll < 0.25:
        pool = [PARTNER[name] for name in sorted(scene.names) if name in PARTNER]
    elif roll < 0.55:
        pool = list(THEMES[scene.theme])
    known = classes_of(tuple(themes))
    fitting = surely_absent([name for name in pool if name in known], scene.names)
    return rng.choice(fitting or surely_absent(known, scene.names))


def count_question(name: str, rng: random.Random) -> str:
    """A counting question about a class."""
    return rng.choice(_COUNTS).format(p=plural(name), place=rng.choice(_PLACES))
