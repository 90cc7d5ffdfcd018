"""Search by words: BM25 over what is said of each picture."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from memvr_integrations.grounding.nouns import runs, singular

if TYPE_CHECKING:
    from bm25s import BM25

# English words that any text holds; those of other languages weigh little by being frequent.
_FUNCTION_WORDS = frozenset(
    """
    a an the this that these those some any each every all both other another such
    i you he she it we they me him her us them my your his its our their mine yours
    who whom whose which what when where why how
    and or but nor so if than then because while as
    of in on at by for from to into onto over under with without within about between through
    across along around up down out off near beside behind above below upon against during
    is are was were be been being am do does did doing have has had having
    can could will would shall should may might must
    not no there here very too also just only please
    """.split()  # noqa: SIM905
)


def keywords(text: str) -> list[str]:
    """The words of a text that say what it is about, in lower case and the singular."""
    words = (word for run in runs(text) for word in run)
    return [singular(word) for word in words if word not in _FUNCTION_WORDS]


class KeywordIndex:
    """Texts that are found by their words, by the ids of what they describe."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """An index of all of them; another text needs another index."""
        words = {one: keywords(text) for one, text in texts.items()}
        self._ids = [one for one, found in words.items() if found]
        self._known = {word for found in words.values() for word in found}
        self._index = _bm25([words[one] for one in self._ids]) if self._ids else None

    def best(self, query: str, count: int) -> list[str]:
        """The ids of the texts with most of a query's words, best first; rare words count more."""
        asked = [word for word in keywords(query) if word in self._known]
        if self._index is None or not asked:
            return []
        scores: Sequence[float] = self._index.get_scores(asked).tolist()
        order = sorted(range(len(scores)), key=lambda at: -scores[at])[:count]
        return [self._ids[at] for at in order if scores[at] > 0]


def _bm25(texts: list[list[str]]) -> "BM25":
    from bm25s import BM25

    # It lets its debug lines through to every program that logs.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    index = BM25()
    index.index(texts, show_progress=False)
    return index
