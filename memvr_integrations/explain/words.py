"""Which tokens of an answer are of words that say something."""

import re
from collections.abc import Sequence

# English words that hardly ever come from one place of a picture.
_EMPTY = frozenset(
    """
    a an the and or but of in on at to from with by for as is are was were be been being am it its
    this that these those there here he she they him her his them their who which what where when
    how i you we me my your our do does did has have had will would can could may might should so
    too also very just than then into onto over under up down out off about not answer image
    picture photo
    """.split()  # noqa: SIM905  # a list of so many words is longer than what they do
)
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def content(pieces: Sequence[str]) -> list[bool]:
    """Whether each piece belongs to a word with content; "yes", "no" and numbers do.

    Pieces are tokens' texts, which add up to the answer.
    """
    text = "".join(pieces)
    spans = [match.span() for match in _WORD.finditer(text) if match.group().lower() not in _EMPTY]
    found, end = [], 0
    for piece in pieces:
        start, end = end, end + len(piece)
        found.append(any(start < after and first < end for first, after in spans))
    return found
