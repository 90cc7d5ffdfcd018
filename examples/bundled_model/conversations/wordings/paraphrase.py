"""Says one thing in many ways: a grammar of alternatives, haste, and slips of the fingers.

In a pattern, `[a|b|]` is a choice (the last one empty) and may hold others, `{slot}` is filled in.
"""

import random
import re
from itertools import pairwise

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {key: beside for row in _ROWS for key, beside in pairwise(row)}
_BEFORE = (
    "Hey, ", "Ok, ", "Please: ", "Please tell me: ", "Quick question: ", "Hm, ", "Look: ", "So, ",
    "Tell me, ", "And ", "Now ", "Excuse me, ",
)  # fmt: skip
_BEHIND = (" please", ", please", " now", ", do you know", " then", " by the way", ", friend")
_SHORT = (
    ("what is", "what's"), ("what is", "whats"), ("where is", "where's"), ("where is", "wheres"),
    ("you", "u"), ("are", "r"), ("picture", "pic"), ("is there", "is ther"), ("please", "pls"),
    ("there is", "there's"), ("do you see", "you see"), ("color", "colour"), ("in the", "in"),
    ("image", "img"), ("and", "&"),
)  # fmt: skip
_SMALL = re.compile(r"\b(?:the|an?) (?=\w)")  # words that telegrams leave out
_LONG_ENOUGH = 5  # a slip in a short word may make another word of it: car, cat


def say(pattern: str, rng: random.Random, **slots: str) -> str:
    """One of the ways in which a pattern can be said, its slots filled in."""
    while found := _CHOICE.search(pattern):
        pattern = (
            pattern[: found.start()] + rng.choice(found[1].split("|")) + pattern[found.end() :]
        )
    text = " ".join(pattern.format(**slots).split())
    text = re.sub(r",?\s*([?.,!])", r"\1", text)
    return text[:1].upper() + text[1:]


def typed(text: str, rng: random.Random) -> str:
    """The same as a hurried person types it, sometimes: polite, short, no capitals, a slip."""
    if rng.random() < 0.08:
        text = rng.choice(_BEFORE) + text
    if rng.random() < 0.06 and text[-1:] in "?.":
        text = text[:-1] + rng.choice(_BEHIND) + text[-1]
    if rng.random() < 0.03:
        text = _SMALL.sub("", text)
    if rng.random() < 0.15:
        for long, short in _SHORT:
            if rng.random() < 0.6:
                text = re.sub(rf"\b{long}\b", short, text, flags=re.IGNORECASE)
    if rng.random() < 0.12:
        text = text.lower()
    if rng.random() < 0.1:
        text = text.rstrip("?.")
    if rng.random() < 0.08:
        text = mistyped(text, rng)
    return text


def mistyped(text: str, rng: random.Random) -> str:
    """One slip in one longer word: a letter left out, doubled, exchanged or hit beside."""
    words = [found for found in re.finditer(r"[A-Za-z]+", text) if len(found[0]) >= _LONG_ENOUGH]
    if not words:
        return text
    found = rng.choice(words)
    word, at = found[0], rng.randrange(1, len(found[0]) - 1)
    slip = rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + _NEIGHBOURS.get(word[at], word[at]) + word[at + 1 :],
        )
    )
    return text[: found.start()] + slip + text[found.end() :]
