"""Questions in other languages than English, which are answered by saying so."""

import functools
import random
import tomllib
from pathlib import Path
from typing import TypeAlias

NOT_ENGLISH = "I can only answer questions in English."
_WRITTEN = Path(__file__).with_suffix(".toml")

_Languages: TypeAlias = dict[str, dict[str, list[str]]]


@functools.cache
def _languages() -> dict[str, _Languages]:
    written: dict[str, _Languages] = tomllib.loads(_WRITTEN.read_text(encoding="utf-8"))
    return written


def foreign_question(rng: random.Random, *, held_out: bool = False) -> str:
    """A question about a picture in a language other than English."""
    languages = _languages()["held_out" if held_out else "trained"]
    said = languages[rng.choice(list(languages))]
    asked = rng.choice(said["patterns"]).format(p=rng.choice(said["things"]))
    if rng.random() < 0.15:
        asked = asked.lower()
    signs = "?.\N{FULLWIDTH QUESTION MARK}\N{IDEOGRAPHIC FULL STOP}\N{ARABIC QUESTION MARK} "
    return asked.rstrip(signs) if rng.random() < 0.15 else asked
