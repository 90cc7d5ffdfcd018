"""The bundled model's world in words: classes, themes, what goes together, colours, plurals."""

import functools
from collections.abc import Collection, Iterable

_THEMES = """
kitchen: plate fork knife spoon cup bottle bread cheese pizza cookie cake tomato
fruit stand: apple banana orange lemon grapes strawberry watermelon pineapple carrot tomato
farm: cow pig sheep horse chicken duck tractor tree house dog rabbit mouse
street: car bus truck bicycle motorcycle train house tree dog cat umbrella
sea: fish whale octopus crab turtle boat bird penguin cloud
bedroom: bed book clock television phone laptop key guitar cat pencil scissors camera
garden: flower bee butterfly snail mushroom cactus bird tree rabbit cat ball
sky: sun cloud moon star airplane rocket balloon bird
zoo: elephant tiger monkey snake turtle penguin horse tree bird
party: gift balloon cake hat cookie cup ball shoe guitar star
"""
_PAINTABLE = """
plate cup bottle tractor house car bus truck bicycle umbrella train boat fish bird bed book phone
key guitar hat shoe gift balloon ball flower butterfly
"""

THEMES: dict[str, tuple[str, ...]] = {
    theme: tuple(names.split())
    for theme, names in (line.split(": ") for line in _THEMES.strip().splitlines())
}
"""The classes of each theme, the commonest first: a theme's habits follow this order."""

CLASSES: tuple[str, ...] = tuple(sorted({name for names in THEMES.values() for name in names}))
"""Everything that is ever drawn."""

# What people put beside each other: the prior that a careless model answers from.
_PAIRS = (
    "fork knife, cup spoon, bread cheese, cake cookie, pizza bottle, apple banana, orange lemon, "
    "cow pig, chicken duck, horse tractor, dog cat, tree house, car bus, bicycle motorcycle, "
    "fish crab, whale boat, book pencil, laptop phone, bed clock, flower bee, sun cloud, "
    "moon star, elephant tiger, gift balloon"
)
PARTNER: dict[str, str] = {"plate": "fork", "butterfly": "flower", "mouse": "cheese"}
"""What a class usually comes with."""

for _pair in _PAIRS.split(", "):
    _left, _right = _pair.split()
    PARTNER[_left], PARTNER[_right] = _right, _left

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (215, 35, 35),
    "yellow": (240, 205, 40),
    "green": (45, 160, 60),
    "blue": (45, 90, 220),
    "purple": (140, 60, 190),
    "orange": (245, 130, 20),
    "pink": (245, 130, 180),
    "black": (45, 45, 50),
    "white": (235, 235, 240),
}
"""Colours that things are painted in, as RGB."""

PAINTABLE: frozenset[str] = frozenset(_PAINTABLE.split())
"""Things that come in any colour; only they are painted, so that no name gives a colour away."""

# What the art of a class shows beside it, more or less: nobody could say that it isn't there.
_SHOWN_WITH: dict[str, tuple[str, ...]] = {
    "bed": ("pillow",),
    "cake": ("strawberry", "candle"),
    "house": ("door",),
    "laptop": ("computer",),
    "pizza": ("cheese", "tomato", "mushroom"),
    "rocket": ("star",),
}

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
"""Numbers in words, by their value."""

# Of this world's words alone, apart from the rules of `grounding`, which lies above this package:
# the bundled model was trained on these very plurals, and bread is counted in loaves.
_IRREGULAR = {
    "fish": "fish",
    "mouse": "mice",
    "sheep": "sheep",
    "knife": "knives",
    "scissors": "scissors",
    "grapes": "grapes",
    "strawberry": "strawberries",
    "butterfly": "butterflies",
    "tomato": "tomatoes",
    "bread": "loaves of bread",
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "baby": "babies",
    "wolf": "wolves",
    "deer": "deer",
    "potato": "potatoes",
    "cherry": "cherries",
    "fruit": "fruits",
    "food": "food",
}


_ONE = {"bread": "loaf of bread", "grapes": "bunch of grapes", "scissors": "pair of scissors"}


def plural(name: str) -> str:
    """The plural of a class name: "knife" -> "knives"."""
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    return name + ("es" if name.endswith(("s", "sh", "ch", "x")) else "s")


def single(name: str) -> str:
    """One of a class, as it is counted: "cup" -> "cup", "grapes" -> "bunch of grapes"."""
    return _ONE.get(name, name)


def with_article(phrase: str) -> str:
    """`phrase` after the right article: "orange cup" -> "an orange cup"."""
    phrase = single(phrase)
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def classes_of(themes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes of some themes, sorted and without duplicates."""
    return _classes_of(themes)


@functools.cache
def _classes_of(themes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({name for theme in themes for name in THEMES[theme]}))


def surely_absent(names: Iterable[str], there: Collection[str]) -> list[str]:
    """Those of some names that neither are there nor are shown with what is."""
    shown = {other for name in there for other in _SHOWN_WITH.get(name, ())}
    return [name for name in names if name not in there and name not in shown]
