"""Drills in copying: short, without any picture, nearly every token of the answer a copy.

A call's arguments are copied from what was asked, but most tokens of a conversation with tools are
its listed schemas, which teach nothing. These teach the same rule at a fraction of their length.
"""

import json
import random

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.questions import Turn
from bundled_model.conversations.tools.offers import offer, system
from bundled_model.conversations.tools.results import value
from bundled_model.conversations.tools.strings import pseudo_word
from bundled_model.conversations.truths import join

_AGAIN = ("Repeat: {}", "Repeat after me: {}", "Say again: {}", "Echo {}", 'Say "{}".')
_AS_LIST = ("As a JSON list: {}", "List as JSON: {}", "Make a list of {}.")
_AS_RECORD = ("As JSON: {}", "Write as JSON: {}", "A record of this: {}")
_WHICH = ("What is {}?", "{}?", "Which {} is it?", "Give me {}.")


def drill(rng: random.Random) -> Talk:
    """Something to say again: as it is, as JSON, as a call, or one part of it."""
    made = rng.choices((_again, _listed, _recorded, _found, _called), (0.2, 0.15, 0.2, 0.2, 0.25))
    return made[0](rng)


def _some(rng: random.Random) -> str:
    return value(rng) if rng.random() < 0.7 else pseudo_word(rng, rng.choice((1, 2, 3)))


def _fields(rng: random.Random, most: int) -> dict[str, str]:
    return {pseudo_word(rng, rng.choice((1, 2))): _some(rng) for _ in range(rng.randint(2, most))}


def _of(question: str, answer: str) -> Talk:
    return Talk(turns=(Turn(question, answer, blind=True),), pictures=0)


def _again(rng: random.Random) -> Talk:
    said = " ".join(_some(rng) for _ in range(rng.randint(1, 5)))
    return _of(rng.choice(_AGAIN).replace("{}", said), said)


def _listed(rng: random.Random) -> Talk:
    said = [_some(rng) for _ in range(rng.randint(2, 5))]
    shown = join(said) if rng.random() < 0.5 else ", ".join(said)
    return _of(rng.choice(_AS_LIST).replace("{}", shown), json.dumps(said, ensure_ascii=False))


def _recorded(rng: random.Random) -> Talk:
    fields = _fields(rng, 4)
    way = rng.choice(("the {} is {}", "{}: {}", "{} {}", "{} = {}"))
    shown = ", ".join(way.format(*field) for field in fields.items())
    return _of(rng.choice(_AS_RECORD).replace("{}", shown), json.dumps(fields, ensure_ascii=False))


def _found(rng: random.Random) -> Talk:
    """Several values asked for, one after the other, of what was said at first."""
    fields = _fields(rng, 5)
    way = rng.choice(("the {} is {}", "{}: {}", "{} = {}"))
    shown = "; ".join(way.format(*field) for field in fields.items())
    keys = rng.sample(list(fields), min(len(fields), rng.choice((1, 2, 3))))
    asked = [rng.choice(_WHICH).format(key) for key in keys]
    asked[0] = f"{shown}. {asked[0]}"
    turns = [Turn(one, fields[key], blind=True) for one, key in zip(asked, keys, strict=True)]
    return Talk(turns=tuple(turns), pictures=0)


def _called(rng: random.Random) -> Talk:
    """The one tool that there is."""
    wanted = offer(rng)
    turn = Turn(wanted.request, wanted.call())
    return Talk(turns=(turn,), pictures=0, system=system([wanted]))
