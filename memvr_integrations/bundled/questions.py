"""Questions about a scene and their true answers, phrased as people phrase them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from memvr_integrations.bundled.scenes import Scene, Thing
from memvr_integrations.bundled.words import (
    COLORS,
    NUMBERS,
    PARTNER,
    THEMES,
    classes_of,
    plural,
    with_article,
)

SHORT = " Answer yes or no."
CAPTION = "Describe the image."

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
_CAPTIONS = (
    CAPTION,
    "Describe this picture.",
    "What is shown in the image?",
    "Please describe the photo in detail.",
    "Write a caption for this image.",
    "What is in the picture?",
    "What's in this image?",
)
_LISTS = ("What objects are in the image?", "List the objects in the picture.", "What do you see?")
_THEMES = ("What kind of scene is this?", "Where was this picture taken?")
_COUNTS = (
    "How many {p} are there?",
    "How many {p} are in the {place}?",
    "How many {p} do you see?",
    "Count the {p}.",
)
_UNKNOWABLE = (
    ("What is the name of the {c}?", "I cannot tell the name from the image."),
    ("Who owns the {c}?", "I cannot tell from the image."),
    ("How old is the {c}?", "I cannot tell from the image."),
    ("What is the price of the {c}?", "I cannot tell from the image."),
)
NO_IMAGE = "I don't see an image."

_MIX = {
    "yes": 0.27,
    "no": 0.23,
    "count": 0.24,
    "color": 0.09,
    "where": 0.05,
    "theme": 0.02,
    "list": 0.03,
    "is color": 0.04,
    "unknowable": 0.01,
    "blind": 0.02,
}


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


def caption(scene: Scene, rng: random.Random | None = None) -> str:
    """One sentence that names the theme and everything in it, left to right."""
    parts = []
    for thing in _left_to_right(scene):
        placed = thing.count == 1 and rng is not None and rng.random() < 0.3
        parts.append(phrase(thing) + (" " + where(thing.centers[0]) if placed else ""))
    return _sentence(f"{with_article(scene.theme)} scene with {_join(parts)}")


def exists(name: str, present: bool, rng: random.Random, *, short: bool | None = None) -> Turn:
    """A yes/no question about a class; `short` asks for one word, None tosses a coin."""
    question = rng.choice(_EXIST).format(
        a=with_article(name), c=name, p=plural(name), place=rng.choice(_PLACES)
    )
    if rng.random() < 0.5 if short is None else short:
        return Turn(question + SHORT, "Yes" if present else "No")
    if present:
        return Turn(question, f"Yes, there is {with_article(name)}.")
    return Turn(question, f"No, there is no {name}.")


def absent(scene: Scene, rng: random.Random, themes: Sequence[str]) -> str:
    """A class that is not there: any one, one of the theme, or the partner of what is there."""
    roll = rng.random()
    pool: list[str] = []
    if roll < 0.25:
        pool = [PARTNER[name] for name in sorted(scene.names) if name in PARTNER]
    elif roll < 0.55:
        pool = list(THEMES[scene.theme])
    known = classes_of(tuple(themes))
    fitting = [name for name in pool if name in known and name not in scene.names]
    return rng.choice(fitting or [name for name in known if name not in scene.names])


def ask(scene: Scene, rng: random.Random, size: int, themes: Sequence[str]) -> list[Turn]:
    """`size` turns about a scene, the first of them a caption."""
    kinds = rng.choices(list(_MIX), list(_MIX.values()), k=size - 1)
    turns = [Turn(rng.choice(_CAPTIONS), caption(scene, rng))]
    turns += [_turn(kind, scene, rng, themes) for kind in kinds]
    return [_as_typed(turn, rng) for turn in turns]


def count_question(name: str, rng: random.Random) -> str:
    """A counting question about a class."""
    return rng.choice(_COUNTS).format(p=plural(name), place=rng.choice(_PLACES))


def color_question(thing: Thing) -> str:
    """What colour a thing is."""
    one = thing.count == 1
    return f"What color {'is' if one else 'are'} the {thing.name if one else plural(thing.name)}?"


def _turn(kind: str, scene: Scene, rng: random.Random, themes: Sequence[str]) -> Turn:
    thing = rng.choice(scene.things)
    if kind == "yes":
        return exists(thing.name, True, rng)
    if kind == "no":
        return exists(absent(scene, rng, themes), False, rng)
    if kind == "count":
        return _count(scene, rng, themes)
    if kind in ("color", "is color"):
        painted = [thing for thing in scene.things if thing.color]
        return _color(rng.choice(painted), kind, rng) if painted else _count(scene, rng, themes)
    if kind == "where":
        single = [thing for thing in scene.things if thing.count == 1]
        if not single:
            return _count(scene, rng, themes)
        thing = rng.choice(single)
        answer = f"The {thing.name} is {where(thing.centers[0])}."
        return Turn(f"Where is the {thing.name}?", answer)
    if kind == "theme":
        return Turn(rng.choice(_THEMES), f"This is {with_article(scene.theme)} scene.")
    if kind == "list":
        names = [phrase(thing, color=False) for thing in _left_to_right(scene)]
        return Turn(rng.choice(_LISTS), _sentence(_join(names)))
    if kind == "unknowable":
        question, answer = rng.choice(_UNKNOWABLE)
        return Turn(question.format(c=thing.name), answer)
    question = _turn(rng.choice(["yes", "count"]), scene, rng, themes).question
    return Turn(rng.choice([question, rng.choice(_CAPTIONS)]), NO_IMAGE, blind=True)


def _count(scene: Scene, rng: random.Random, themes: Sequence[str]) -> Turn:
    if rng.random() < 0.15:
        name = absent(scene, rng, themes)
        return Turn(count_question(name, rng), f"There are no {plural(name)}.")
    # Rare counts are asked for more often, or "one" would be right most of the time.
    thing = rng.choices(scene.things, [thing.count for thing in scene.things])[0]
    question = count_question(thing.name, rng)
    if thing.count == 1:
        return Turn(question, f"There is one {thing.name}.")
    return Turn(question, f"There are {NUMBERS[thing.count]} {plural(thing.name)}.")


def _color(thing: Thing, kind: str, rng: random.Random) -> Turn:
    noun = thing.name if thing.count == 1 else plural(thing.name)
    verb = "is" if thing.count == 1 else "are"
    if kind == "color":
        return Turn(color_question(thing), f"The {noun} {verb} {thing.color}.")
    asked = thing.color if rng.random() < 0.5 else rng.choice(list(COLORS))
    yes = "Yes" if asked == thing.color else "No"
    return Turn(
        f"{verb.capitalize()} the {noun} {asked}?", f"{yes}, the {noun} {verb} {thing.color}."
    )


def _as_typed(turn: Turn, rng: random.Random) -> Turn:
    """The same question as a hurried person types it, sometimes."""
    question = turn.question
    if rng.random() < 0.12:
        question = question.lower()
    if rng.random() < 0.08:
        question = question.rstrip("?.")
    return Turn(question, turn.answer, turn.blind)


def _left_to_right(scene: Scene) -> list[Thing]:
    return sorted(scene.things, key=lambda thing: sum(x for x, _ in thing.centers) / thing.count)


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
