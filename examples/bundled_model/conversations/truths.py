"""What is true of a scene, in the words of an answer."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bundled_model.conversations.questions import phrase, where
from bundled_model.conversations.vocabulary import USUAL, is_or_are
from memvr_integrations.bundled.world import (
    COLORS,
    NUMBERS,
    PAINTABLE,
    SIDE,
    Box,
    Scene,
    Thing,
    plural,
    single,
    with_article,
)

FIELDS = tuple(where((x, y)) for y in (0.1, 0.5, 0.9) for x in (0.1, 0.5, 0.9))
MANY = 5
_APART = 0.1  # of the picture's side: nearer things are neither left nor right of each other
_USUAL_SHARE = 0.2  # of a box, to be called that colour: half of a box is background
_NEARER = 1.4  # times as far is what isn't next to it
_AT = {"at", "on", "in", "the"}
_OPPOSITE = {"left of": "right of", "above": "below"}
_OPPOSITE |= {other: one for one, other in _OPPOSITE.items()}
WAYS = tuple(_OPPOSITE)


def noun(thing: Thing) -> str:
    """A thing's noun, "cup" or "cups" as many as there are."""
    return thing.name if thing.count == 1 else plural(thing.name)


def verb(thing: Thing) -> str:
    """The verb after a thing's noun, "is" or "are"."""
    return is_or_are(thing.name, thing.count)


def existence(name: str, present: bool) -> str:
    """Whether there is one."""
    return (
        f"Yes, there is {with_article(name)}."
        if present
        else f"No, there {is_or_are(name)} no {name}."
    )


def none_of(name: str) -> str:
    """The answer to a question that takes a thing for granted which isn't there."""
    return f"There {is_or_are(name)} no {name} in the picture."


def number(count: int) -> str:
    """A count as a word, "more than four" where there are more."""
    return "more than four" if count >= MANY else NUMBERS[count]


def amount(name: str, count: int) -> str:
    """How many there are."""
    if count == 0:
        return f"There are no {plural(name)}."
    return f"There {'is' if count == 1 else 'are'} {_counted(name, count)}."


def counted(thing: Thing) -> str:
    """How many of a thing there are, "one cup"."""
    return _counted(thing.name, thing.count)


def _counted(name: str, count: int) -> str:
    return f"one {single(name)}" if count == 1 else f"{number(count)} {plural(name)}"


def join(parts: Sequence[str]) -> str:
    """Parts as an enumeration."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return text[0].upper() + text[1:] + "."


def left_to_right(scene: Scene) -> list[Thing]:
    """The things of a scene, by their middle."""
    return sorted(scene.things, key=lambda thing: sum(x for x, _ in thing.centers) / thing.count)


def inventory(things: Sequence[Thing], *, color: bool = True) -> str:
    """Things as a sentence: "A cow and two red cups."."""
    return sentence(join([phrase(thing, color=color) for thing in things]))


def caption(scene: Scene) -> str:
    """One sentence that names the theme and everything in it, left to right."""
    things = join([phrase(thing) for thing in left_to_right(scene)])
    return sentence(f"{with_article(scene.theme)} scene with {things}")


def positions(thing: Thing) -> str:
    """Where a thing, or each of a few, is."""
    fields = list(dict.fromkeys(where(center) for center in thing.centers))
    return f"The {noun(thing)} {verb(thing)} {join(fields)}."


def way(one: Thing, other: Thing) -> str | None:
    """How a single thing lies to another by the larger distance; None where that is unclear."""
    (x, y), (u, v) = one.centers[0], other.centers[0]
    across, down = abs(x - u), abs(y - v)
    if max(across, down) < 2 * _APART or max(across, down) < 1.4 * min(across, down):
        return None
    if across > down:
        return "left of" if x < u else "right of"
    return "above" if y < v else "below"


def is_related(one: Thing, how: str, other: Thing) -> bool | None:
    """Whether one lies so to the other; None where they are level."""
    axis = 0 if how in ("left of", "right of") else 1
    distance = one.centers[0][axis] - other.centers[0][axis]
    if abs(distance) < _APART:
        return None
    return (distance < 0) == (how in ("left of", "above"))


def all_related(one: Thing, how: str, other: Thing) -> bool:
    """Whether every piece of one thing clearly lies so to every piece of the other."""
    return all(
        is_related(replace(one, centers=(mine,)), how, replace(other, centers=(its,)))
        for mine in one.centers
        for its in other.centers
    )


def beyond(scene: Scene, how: str, anchor: Thing) -> list[Thing] | None:
    """What lies so to a single thing; None where pieces of one thing lie on both sides of it."""
    found = []
    for thing in left_to_right(scene):
        if thing is anchor:
            continue
        sides = {
            is_related(replace(thing, centers=(center,)), how, anchor) for center in thing.centers
        }
        if len(sides) > 1 or None in sides:
            return None
        if sides == {True}:
            found.append(thing)
    return found


def nearest(scene: Scene, anchor: Thing) -> Thing | None:
    """What lies next to a single thing; None where two are about as near."""
    (x, y) = anchor.centers[0]
    distances = sorted(
        (min(math.hypot(u - x, v - y) for u, v in thing.centers), index)
        for index, thing in enumerate(scene.things)
        if thing is not anchor
    )
    if not distances or (len(distances) > 1 and distances[1][0] < _NEARER * distances[0][0]):
        return None
    return scene.things[distances[0][1]]


def lies_in(field: str, asked: str) -> bool:
    """Whether who is in one of the nine fields is where one asks: "at the top" has three."""
    return set(asked.split()) - _AT <= set(field.split())


def opposite(how: str) -> str:
    """The other way round: "left of" for "right of"."""
    return _OPPOSITE[how]


def box_text(box: Box) -> str:
    """A box in hundredths: "[12, 30, 45, 61]"."""
    return "[" + ", ".join(str(max(0, min(100, round(100 * value)))) for value in box) + "]"


def as_json(scene: Scene) -> str:
    """The fixed format for everything in a scene."""
    objects = [
        {"name": thing.name, "count": thing.count, "color": thing.color}
        for thing in left_to_right(scene)
    ]
    return json.dumps({"scene": scene.theme, "objects": objects})


def only_painted(scene: Scene, color: str) -> bool:
    """Whether nothing shows a colour but what is painted in it, as far as the pixels show.

    Unpainted art has colours that the generator doesn't know: a tomato is red, too.
    """
    others = [thing for thing in scene.things if thing.color != color]
    return all(share < 0.04 for thing in others for share in _shares(scene, thing, color))


def seen_color(scene: Scene, thing: Thing) -> str | None:
    """The colour that something is painted in, or that it usually has and has here, too."""
    usual = USUAL.get(thing.name)
    if thing.color or usual is None:
        return thing.color
    return usual if min(_shares(scene, thing, usual)) >= _USUAL_SHARE else None


def coloring(scene: Scene, thing: Thing) -> str | None:
    """The answer to which colour something has; None where nobody could say."""
    color = seen_color(scene, thing)
    if color:
        return f"The {noun(thing)} {verb(thing)} {color}."
    if thing.name in PAINTABLE or thing.name in USUAL:
        return None
    its = "has its" if verb(thing) == "is" else "have their"
    return f"The {noun(thing)} {its} usual color."


def _shares(scene: Scene, thing: Thing, color: str) -> list[float]:
    """How much of each of its boxes is in a colour."""
    pixels = np.asarray(scene.pixels, np.float32)
    shares = []
    for left, top, right, bottom in thing.boxes:
        rows = slice(int(top * SIDE), max(int(bottom * SIDE), int(top * SIDE) + 1))
        columns = slice(int(left * SIDE), max(int(right * SIDE), int(left * SIDE) + 1))
        shares.append(_share(pixels[rows, columns], color))
    return shares


def _share(pixels: np.ndarray, color: str) -> float:
    """How much of some pixels is nearest to a colour, brightness counted less than hue."""
    names = list(COLORS)
    palette = _opponent(np.array([COLORS[name] for name in names], np.float32))
    distance = ((_opponent(pixels)[..., None, :] - palette) ** 2).sum(-1)
    return float((distance.argmin(-1) == names.index(color)).mean())


def _opponent(colors: np.ndarray) -> np.ndarray:
    red, green, blue = (colors[..., index] for index in range(3))
    return np.stack([red - green, (red + green) / 2 - blue, (red + green + blue) / 6], -1)
