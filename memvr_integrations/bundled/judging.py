"""Whether an answer says what is true: judged by what it says, not by its letters."""

import json
import re

import torch

from memvr_integrations.bundled.dense import overlap
from memvr_integrations.bundled.measure import mentioned
from memvr_integrations.bundled.words import COLORS, NUMBERS, THEMES

_WAYS = re.compile(r"\b(left of|right of|above|below)\b")
_FIELDS = re.compile(r"\b(top left|top right|bottom left|bottom right|top|bottom|left|right)\b")
_MIDDLE = re.compile(r"\b(?:center|centre|middle)\b")
_BOX = re.compile(r"\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]")
_NOTHING = frozenset({"no", "none", "nothing", "zero"})
_PICTURES = frozenset({"first", "second", "both", "neither", "same"})
# How an answer begins that says something of one thing; others enumerate things.
_STATING = frozenset({"yes", "no", "the", "there", "this", "both", "neither", "i", "hello"})
_ENOUGH = 0.5


def is_true(said: str, truth: str) -> bool:
    """Whether an answer says the same as the true one, in whatever words."""
    if truth.startswith("["):
        found = overlaps(said, truth)
        return bool(found) and min(found) >= _ENOUGH
    if truth.startswith("{"):
        return bool(_parsed(said) == json.loads(truth))
    naming = _words(truth)[0] not in _STATING
    return facts(said, naming=naming) == facts(truth, naming=naming)


def is_refusal(said: str) -> bool:
    """Whether an answer says that the picture doesn't tell."""
    return "cannot tell" in said.lower()


def facts(text: str, *, naming: bool) -> frozenset[str]:
    """What an answer says: yes or no, numbers, colours, places, pictures; `naming`, the things too.

    "No" at its beginning and "no" before a noun are two things, as in "There are no cups.".
    """
    if is_refusal(text):
        return frozenset({"refused"})
    text = text.lower()
    words = _words(text)
    found = {theme for theme in THEMES if re.search(rf"\b{theme}\b", text)}
    if words and words[0] in ("yes", "no"):
        found.add(words.pop(0))
    if "no" not in found and (_NOTHING & set(words) or "no such" in text):
        found.add("nothing")
    found |= {f"{way} it" for way in _WAYS.findall(text)}
    rest = _WAYS.sub("", text)
    found |= {f"at the {field}" for field in _FIELDS.findall(rest)}
    if _MIDDLE.search(rest):
        found.add("at the center")
    numbers = {NUMBERS[int(digits)] for digits in re.findall(r"\b\d\b", text) if digits < "9"}
    numbers |= set(NUMBERS[1:]) & set(words)
    if "more than four" in text:
        numbers = {"many"}
    found |= numbers | (set(COLORS) & set(words)) | (_PICTURES & set(words))
    return frozenset(found | (mentioned(text) if naming else set()))


def overlaps(said: str, truth: str) -> list[float]:
    """Intersection over union of each true box and the said one at its place.

    Empty where the answer has not as many boxes as there are.
    """
    mine, right = _boxes(said), _boxes(truth)
    if len(mine) != len(right):
        return []
    values: list[float] = overlap(torch.tensor(mine), torch.tensor(right)).tolist()
    return values


def _boxes(text: str) -> list[list[float]]:
    return [[float(edge) for edge in found] for found in _BOX.findall(text)]


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
