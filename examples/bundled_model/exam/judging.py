"""Whether an answer says what is true: judged by what it says, not by its letters."""

import json
import re
from typing import NamedTuple

import torch

from bundled_model.conversations.truths import opposite
from bundled_model.training.patch_targets import overlap
from memvr_integrations.bundled.world import COLORS, NUMBERS, THEMES
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned

_WAYS = re.compile(r"\b(left of|right of|above|below)\b")
_FIELDS = re.compile(r"\b(top left|top right|bottom left|bottom right|top|bottom|left|right)\b")
_MIDDLE = re.compile(r"\b(?:center|centre|middle)\b")
_BOX = re.compile(r"\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]")
_BLIND = re.compile(r"\bsee (?:an|any|no) (?:image|picture)\b|\bthere is no (?:image|picture)\b")
_NOTHING = frozenset({"no", "none", "nothing", "zero"})
_PICTURES = frozenset({"first", "second", "both", "neither", "same"})
# How an answer begins that says something of one thing; others enumerate things.
_STATING = frozenset({"yes", "no", "the", "there", "this", "both", "neither", "i", "hello"})
_MANY, _SOME = "many", "some"
_COUNTS = {
    **{word: word for word in (*NUMBERS, _MANY)},
    **{str(number): word for number, word in enumerate(NUMBERS)},
    **{"a": "one", "an": "one", "no": "zero"},
}
_ENOUGH = 0.5


class _Item(NamedTuple):
    number: str
    color: str
    thing: str


class _Relation(NamedTuple):
    """One thing lies so to another; None where an answer names it not ("it")."""

    one: str | None
    way: str
    other: str | None


def is_true(said: str, truth: str) -> bool:
    """Whether an answer says the same as the true one, in whatever words.

    Of another thing, of other numbers of things, or the other way round it is not the same; "it"
    may stand for a thing. Of what two pictures share only that counts, not what each has.
    """
    if truth.startswith("["):
        found = overlaps(said, truth)
        return bool(found) and min(found) >= _ENOUGH
    if truth.startswith("{"):
        return _parsed(said) == _parsed(truth)
    if truth.startswith("The first has "):
        return is_true(_conclusion(said), _conclusion(truth))
    items, relation = _items(truth), _relation(truth)
    first = _words(truth)[0]
    naming = first not in _STATING or (first == "there" and len(items) > 1)
    right = facts(truth, naming=naming)
    if not right and relation is None:
        return _words(said) == _words(truth)
    if facts(said, naming=naming) != right or not _lie_alike(_relation(said), relation):
        return False
    part = first in ("yes", "no") or relation is not None
    return naming or _of_the_same(_items(said), items, part=part)


def _conclusion(text: str) -> str:
    """What two pictures share, without what each has before it."""
    shared = re.search(r"\bboth have (.+)", text, re.IGNORECASE)
    if shared is None:
        return "Nothing." if "share nothing" in text.lower() else text
    return shared[1][0].upper() + shared[1][1:]


def is_refusal(said: str) -> bool:
    """Whether an answer says that the picture doesn't show it."""
    return "cannot tell" in said.lower()


def facts(text: str, *, naming: bool) -> frozenset[str]:
    """What an answer says: yes or no, numbers, colours, places, pictures.

    With `naming` it is how many of what in which colour, instead of numbers and colours alone.
    "No" at its beginning and "no" before a noun are two things, as in "There are no cups.".
    """
    if is_refusal(text):
        return frozenset({"refused"})
    text = _plain(text)
    if _BLIND.search(text):
        return frozenset({"no picture"})
    words = _words(text)
    found = {theme for theme in THEMES if re.search(rf"\b{theme}\b", text)}
    if words and words[0] in ("yes", "no"):
        found.add(words.pop(0))
    if "no" not in found and (_NOTHING & set(words) or "no such" in text):
        found.add("nothing")
    if "usual color" in text:
        found.add("usual")
    rest = _WAYS.sub("", text)
    found |= {f"at the {field}" for field in _FIELDS.findall(rest)}
    if _MIDDLE.search(rest):
        found.add("at the center")
    found |= _PICTURES & set(words)
    if naming:
        return frozenset(found | {" ".join(item) for item in _items(text)})
    numbers = {NUMBERS[int(digits)] for digits in re.findall(r"\b\d\b", text) if digits < "9"}
    numbers |= {*NUMBERS[1:], _MANY} & set(words)
    return frozenset(found | numbers | (set(COLORS) & set(words)))


def overlaps(said: str, truth: str) -> list[float]:
    """Intersection over union of each true box and the said one at its place.

    Empty where the answer has not as many boxes as there are.
    """
    mine, right = _boxes(said), _boxes(truth)
    if len(mine) != len(right):
        return []
    values: list[float] = overlap(torch.tensor(mine), torch.tensor(right)).tolist()
    return values


def _items(text: str) -> set[_Item]:
    """How many of what a text names, in which colour: "two red cups" is (two, red, cup)."""
    words = re.findall(r"[a-z]+|\d+|[^\w\s-]", _plain(text))
    found, number, color = set[_Item](), "", ""
    for word, after in zip(words, [*words[1:], ""], strict=True):
        [thing] = mentioned(word) or [""]
        if not word.isalnum():  # what is red before a mark is not what comes after it
            number = color = ""
        elif word in COLORS and (not thing or mentioned(after)):  # "an orange cup"
            color = word
        elif thing:
            found.add(_Item(number or ("one" if word == thing else _SOME), color, thing))
            number = color = ""
        else:
            number = _COUNTS.get(word, number)
    return found


def _of_the_same(said: set[_Item], truth: set[_Item], *, part: bool) -> bool:
    """Whether what is named is what the truth names, or a `part` of it where that will do."""
    mine, its = ({item.thing for item in items} for items in (said, truth))
    if mine and its and not (mine <= its if part else mine == its):
        return False
    counted = {(item.number, item.thing) for item in said} - {
        (number, thing) for number in ("one", _SOME) for thing in mine
    }
    return not its or counted <= {(item.number, item.thing) for item in truth}


def _relation(text: str) -> _Relation | None:
    """What a text says of how one thing lies to another."""
    found = _WAYS.search(text.lower())
    if found is None:
        return None
    one, other = (
        [thing for word in _words(part) for thing in mentioned(word)]
        for part in (text[: found.start()], text[found.end() :])
    )
    return _Relation(one[-1] if one else None, found[1], other[0] if other else None)


def _lie_alike(said: _Relation | None, truth: _Relation | None) -> bool:
    if said is None or truth is None:
        return said == truth
    ways = [said]
    if said.one and said.other:
        ways.append(_Relation(said.other, opposite(said.way), said.one))
    return any(
        one.way == truth.way and one.one in (None, truth.one) and one.other in (None, truth.other)
        for one in ways
    )


def _boxes(text: str) -> list[list[float]]:
    return [[float(edge) for edge in found] for found in _BOX.findall(text)]


def _parsed(text: str) -> str | None:
    """JSON in one form only, in which true is not 1 as it is in Python; None: it is none."""
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return None


def _plain(text: str) -> str:
    return text.lower().replace("more than four", _MANY).replace("loaves of bread", "loaves")


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
