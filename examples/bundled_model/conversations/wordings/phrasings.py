"""How people ask: for every kind of question its patterns, and others that training never sees.

The slots: `{a}` a dog, `{c}` dog, `{p}` dogs, `{the}` the dog or the dogs, `{is_}` is or are,
`{color}`, `{field}` at the top left, `{other}` the tree, `{way}` left of, `{nth}` first.
"""

import random

from bundled_model.conversations.wordings.paraphrase import say
from bundled_model.conversations.wordings.pictures import PICTURES
from bundled_model.conversations.wordings.places import PLACES
from bundled_model.conversations.wordings.things import THINGS

# The first pattern of each kind is the plain one; it comes more often than the others.
TRAINED: dict[str, tuple[str, ...]] = THINGS | PLACES | PICTURES

# The same questions in words that training never sees.
HELD_OUT: dict[str, tuple[str, ...]] = {
    "exists": (
        "Would I find {a} somewhere in this picture?",
        "Is {a} part of the scene?",
        "Look closely: is there {a}?",
        "Have they drawn {a}?",
        "Does {a} appear anywhere?",
    ),
    "count": (
        "What's the total number of {p}?",
        "How many {p} did they draw?",
        "Could you count up the {p} for me?",
    ),
    "color": (
        "{the}, what color {is_} that?",
        "What's the color {the} {is_} painted in?",
        "Tell me the color of {the}.",
    ),
    "where": (
        "Whereabouts is {the}?",
        "Point me to {the}: where is it?",
        "Which corner or side holds {the}?",
    ),
    "caption": (
        "Sum up this picture for me.",
        "Say what you see in one sentence.",
        "How would you describe this image?",
    ),
    "list": ("Name all that is in there.", "Go through the things you can see."),
    "is color": ("Does {the} look {color}?", "{the}: {color} or not?"),
    "anything color": ("Is there a {color} thing anywhere?", "Do any of the things look {color}?"),
    "is related": ("Does {the} stand {way} {other}?", "Can {the} be found {way} {other}?"),
    "box": ("Mark {the} with a bounding box.", "Which box encloses {the}?"),
    "which picture": ("Which one of the two has {a}?", "Tell me which image contains {a}."),
}

_PLAIN = 0.25


def phrase_question(kind: str, rng: random.Random, **slots: str) -> str:
    """A question of a kind in some of its wordings."""
    patterns = TRAINED[kind]
    return say(patterns[0] if rng.random() < _PLAIN else rng.choice(patterns), rng, **slots)


def held_out_question(kind: str, rng: random.Random, **slots: str) -> str:
    """A question of a kind in a wording that training never sees."""
    return say(rng.choice(HELD_OUT[kind]), rng, **slots)
