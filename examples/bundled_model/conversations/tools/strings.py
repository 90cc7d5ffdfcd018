"""Made-up values to copy: names, words, numbers, codes, in letters of several scripts."""

import random
from collections.abc import Callable
from dataclasses import dataclass

_HEADS = (*"bcdfghjklmnprstvwz", "br", "ch", "dr", "fl", "gr", "kl", "pr", "sh", "st", "tr", "th")
_HEARTS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "ea", "ee", "oo", "ou"]
_TAILS = ["", "", "", *["n", "r", "l", "s", "t", "m", "d", "k", "x", "ck", "nd", "rt", "st", "ng"]]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Any characters will do: what is learnt is to copy them.
_SCRIPTS = (
    "天地人山水火木金土日月星海河花鸟鱼虫风雨雪大小上下中国家学生文书店",
    "абвгдежзиклмнопрстуфхцчшюя",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "éèêáàâóòôöúùüñçåøæßł",
)
_SAID = (
    "on my way", "see you soon", "all good here", "the door is open", "lunch is ready", "call back",
    "running late", "please wait", "the train was late", "thanks a lot", "meet at noon",
)  # fmt: skip
_MONTHS = "January February March April May June July August September October November December"
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def pseudo_word(rng: random.Random, syllables: int = 2) -> str:
    """A word that means nothing: "drelop"."""
    return "".join(
        rng.choice(_HEADS) + rng.choice(_HEARTS) + rng.choice(_TAILS) for _ in range(syllables)
    )


def name(rng: random.Random) -> str:
    """A name of one or two words, now and then in another script."""
    if rng.random() < 0.12:
        return foreign(rng)
    words = [pseudo_word(rng, rng.choice((1, 2, 2, 3))) for _ in range(rng.choice((1, 1, 2)))]
    return " ".join(word.capitalize() for word in words)


def foreign(rng: random.Random) -> str:
    """Characters of another script, or a word with some in it."""
    letters = rng.choice(_SCRIPTS)
    if rng.random() < 0.3:
        word = pseudo_word(rng)
        at = rng.randrange(len(word))
        return (word[:at] + rng.choice(_SCRIPTS[-1]) + word[at + 1 :]).capitalize()
    return "".join(rng.choice(letters) for _ in range(rng.randint(2, 6)))


def whole(rng: random.Random) -> int:
    """A whole number, small ones more often."""
    return rng.randint(0, rng.choice((9, 12, 30, 100, 1000, 20_000)))


def decimal(rng: random.Random) -> float:
    """A number with one or two places."""
    return round(rng.uniform(0, rng.choice((2, 30, 500))), rng.choice((1, 2)))


def code(rng: random.Random) -> str:
    """Letters and digits as orders and tickets have them."""
    letters = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(1, 3)))
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 5)))
    if rng.random() < 0.5:
        letters = letters.upper()
    return f"{letters}{rng.choice(('-', '', '_', '#'))}{digits}"


def date(rng: random.Random) -> str:
    """A day, in one of several forms."""
    month, day = rng.randrange(12), rng.randint(1, 28)
    return rng.choice((
        f"20{rng.randint(10, 39)}-{month + 1:02}-{day:02}",
        f"{_MONTHS.split()[month]} {day}",
        f"{day} {_MONTHS.split()[month]}",
        rng.choice(_DAYS),
        rng.choice(("today", "tomorrow", "yesterday")),
    ))  # fmt: skip


def clock(rng: random.Random) -> str:
    """A time of day."""
    hour, minute = rng.randint(0, 23), rng.choice((0, 15, 30, 45, rng.randrange(60)))
    return rng.choice((f"{hour:02}:{minute:02}", f"{hour % 12 + 1} {rng.choice(('am', 'pm'))}"))


def address(rng: random.Random) -> str:
    """An e-mail address."""
    return (
        f"{pseudo_word(rng, 1)}@{pseudo_word(rng)}.{rng.choice(('org', 'com', 'net', 'example'))}"
    )


def file(rng: random.Random) -> str:
    """A file's name, in a folder or not."""
    folder = rng.choice(("", "", f"{pseudo_word(rng, 1)}/", f"/{pseudo_word(rng, 1)}/"))
    return f"{folder}{pseudo_word(rng)}.{rng.choice(('txt', 'csv', 'png', 'pdf', 'md'))}"


def saying(rng: random.Random) -> str:
    """A few words of a message."""
    if rng.random() < 0.4:
        return rng.choice(_SAID)
    return " ".join(pseudo_word(rng, rng.choice((1, 2))) for _ in range(rng.randint(2, 4)))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of argument: how it may be called, its schema, its values, and how they are said."""

    names: tuple[str, ...]
    type: str
    make: Callable[[random.Random], object]
    said: tuple[str, ...]


KINDS = (
    Kind(names=("city", "place", "town", "location", "region", "destination"), type="string",
         make=name, said=("in {v}", "for {v}", "at {v}", "near {v}")),
    Kind(names=("name", "person", "user", "customer", "guest", "who", "owner", "client"),
         type="string", make=name, said=("for {v}", "of {v}", "named {v}", "with the {k} {v}")),
    Kind(names=("query", "topic", "term", "keyword", "subject", "title", "word"), type="string",
         make=saying, said=("about {v}", "on {v}", 'called "{v}"', "with the {k} '{v}'")),
    Kind(names=("text", "message", "note", "content", "body", "comment"), type="string",
         make=saying, said=('saying "{v}"', "with the {k} '{v}'", 'that says "{v}"')),
    Kind(names=("id", "code", "number", "reference", "order", "ticket", "key"), type="string",
         make=code, said=("with {k} {v}", "{v}", "of {v}", "number {v}")),
    Kind(names=("date", "day", "when", "deadline"), type="string", make=date,
         said=("on {v}", "for {v}", "by {v}")),
    Kind(names=("time", "hour", "start", "at"), type="string", make=clock,
         said=("at {v}", "from {v} on", "for {v}")),
    Kind(names=("email", "to", "recipient", "address", "contact"), type="string", make=address,
         said=("to {v}", "for {v}")),
    Kind(names=("file", "path", "filename", "source"), type="string", make=file,
         said=("from {v}", "in {v}", "{v}", "of {v}")),
    Kind(names=("count", "amount", "quantity", "limit", "size", "n", "x", "value", "input"),
         type="integer", make=whole, said=("with {k} {v}", "of {v}", "for {v}", "{v}")),
    Kind(names=("price", "weight", "rate", "length", "factor", "level"), type="number",
         make=decimal, said=("with a {k} of {v}", "at {v}", "of {v}")),
)  # fmt: skip
"""The kinds of arguments whose values are copied from what is asked."""
