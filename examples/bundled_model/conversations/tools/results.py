"""What made-up tools give back, and what is answered from it."""

import json
import random
from dataclasses import dataclass

from bundled_model.conversations.tools.strings import (
    clock,
    code,
    date,
    decimal,
    name,
    pseudo_word,
    saying,
    whole,
)
from bundled_model.conversations.truths import join

_KEYS = (
    "status", "price", "total", "state", "owner", "date", "place", "count", "level", "size",
    "title", "name", "code", "rate", "temperature", "time", "result", "color", "kind", "number",
)  # fmt: skip
_VALUES = (name, code, date, clock, whole, whole, decimal, saying)
_SENTENCES = (
    "The {about} is {value}.", "{value} was found.", "It is {value} in {name}.",
    "There are {value} of them.", "Done: {value}.", "The {about} of {name} is {value}.",
    "{name} has {value}.", "The {about} is ready at {value}.",
)  # fmt: skip
_ERRORS = (
    "Error: {name} was not found.", "Error: no {about} for {value}.", "Error: timeout after {n} s.",
    "Error: {about} is not available.", "Error: not allowed.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a tool gives back, and the answer that is true of it."""

    text: str
    answer: str


def value(rng: random.Random) -> str:
    """A value as text."""
    return str(rng.choice(_VALUES)(rng))


def result(about: str, rng: random.Random) -> Result:
    """A result of a tool that is about something."""
    kinds = (_short, _sentence, _record, _listed, _failed)
    return rng.choices(kinds, (0.35, 0.25, 0.25, 0.07, 0.08))[0](about, rng)


def _short(about: str, rng: random.Random) -> Result:
    said = value(rng)
    if rng.random() < 0.1:
        said = rng.choice(("ok", "done", "true", "false", "yes", "none"))
    return Result(text=said, answer=f"The result is {said}.")


def _sentence(about: str, rng: random.Random) -> Result:
    said = rng.choice(_SENTENCES).format(about=about, value=value(rng), name=name(rng))
    return Result(text=said, answer=said)


def _record(about: str, rng: random.Random) -> Result:
    """Fields of which all are said."""
    keys = rng.sample(_KEYS, rng.choice((1, 2, 2, 3)))
    if rng.random() < 0.4:
        keys[0] = rng.choice((about.replace(" ", "_"), pseudo_word(rng)))
    fields = {key: rng.choice(_VALUES)(rng) for key in keys}
    said = join([f"the {key.replace('_', ' ')} is {value}" for key, value in fields.items()])
    return Result(
        text=json.dumps(fields, ensure_ascii=False), answer=f"{said[0].upper()}{said[1:]}."
    )


def _listed(about: str, rng: random.Random) -> Result:
    found = [rng.choice((name, saying, code))(rng) for _ in range(rng.choice((2, 3)))]
    return Result(
        text=json.dumps(found, ensure_ascii=False), answer=f"The results are {join(found)}."
    )


def _failed(about: str, rng: random.Random) -> Result:
    said = rng.choice(_ERRORS).format(
        about=about, value=value(rng), name=name(rng), n=rng.randint(2, 90)
    )
    return Result(text=said, answer=f"The tool failed. {said}")
