"""Which pictures an answer rests on: the marks `[n]` in its text."""

import re
from collections.abc import Iterable, Sequence

# [1], and what models write for several: [1, 2], [1-3].
_MARK = re.compile(r" ?\[(\d{1,3}(?:\s*[,\u2013-]\s*\d{1,3})*)\]")
_OPEN = re.compile(r" ?(\[[\d\s,\u2013-]{0,16})?$")
_CUT = re.compile(r" ?\[\d[\d\s,\u2013-]*$")


def cited_numbers(text: str) -> set[int]:
    """The numbers of all pictures that a text cites."""
    return {n for mark in _MARK.findall(text) for n in _numbers(mark)}


def _numbers(mark: str) -> list[int]:
    """The numbers of a mark, its ranges spelled out."""
    found: list[int] = []
    for part in mark.split(","):
        first, *rest = (int(n) for n in re.findall(r"\d+", part))
        found += range(first, max([first, *rest]) + 1)
    return found


class Marks:
    """Reads a growing answer, and takes marks out of it that stand for nothing.

    `shown` are the numbers that stand for a picture. A model that cites none of them is made to
    cite all, for it saw them; with `own=False` it was shown no numbers, and its own marks mean
    nothing.
    """

    def __init__(self, shown: Sequence[int], *, own: bool = True) -> None:
        self._shown, self._own = shown, own
        self._kept, self._cited, self._begun = "", False, False

    def read(self, delta: str) -> str:
        """What may be given out after some more text; the begin of a mark waits for its end."""
        text = _MARK.sub(self._checked, self._kept + delta)
        if not self._begun:
            text = text.lstrip()
        opened = _OPEN.search(text)
        end = opened.start() if opened else len(text)
        self._kept = text[end:]
        self._begun = self._begun or end > 0
        return text[:end]

    def _checked(self, mark: re.Match[str]) -> str:
        valid = [n for n in _numbers(mark[1]) if n in self._shown]
        if not (valid and self._own):
            return ""
        self._cited = True
        return (" " if mark[0].startswith(" ") else "") + marks(valid)

    def finish(self) -> str:
        """The rest of the text; a mark that was cut off is dropped."""
        rest = _CUT.sub("", self._kept).rstrip()
        if self._cited or not (self._begun or rest):
            return rest
        return f"{rest} {marks(self._shown)}"


def unmarked(text: str) -> str:
    """A text without marks."""
    return _CUT.sub("", _MARK.sub("", text)).strip()


def marks(numbers: Sequence[int]) -> str:
    """The marks of some pictures."""
    return "".join(f"[{n}]" for n in numbers)


def lines(answers: Iterable[tuple[int, str]]) -> str:
    """Answers about one picture each, by its number: a line for each that is not empty."""
    return "\n".join(f"{text} {marks([n])}" for n, text in answers if text)
