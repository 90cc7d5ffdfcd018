"""Is it in the image? POPE's yes/no questions and CHAIR's captions, for any pictures."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from memvr_integrations.evaluate.benchmarks.benchmark import Marked, Question, percentages
from memvr_integrations.evaluate.benchmarks.scoring.coco_words import mentions
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import (
    OFFICIAL,
    PARSERS,
    count_all_parsers,
    figures_of_all_parsers,
)

SPLITS = ("random", "popular", "adversarial")
"""How the things that are absent were chosen."""


@dataclass(frozen=True, kw_only=True)
class Presence(Marked):
    """What is there, asked thing by thing and as captions.

    By question id, `truths` holds whether "yes" is right, `splits` in which splits a question
    counts, and `there` what the image of a caption shows. A split has the figures of all four
    parsers; what is right, the official one decides.
    """

    truths: Mapping[str, bool]
    splits: Mapping[str, tuple[str, ...]]
    there: Mapping[str, frozenset[str]]
    all_splits: ClassVar[tuple[str, ...]] = SPLITS

    def mentioned(self, question: Question, caption: str) -> Iterable[str]:
        """What a caption names, as often as it counts."""
        return mentions(caption)

    def mark(self, question: Question, answer: str) -> Counter[str]:
        """By parser and split, or those of a caption."""
        truth = self.truths.get(question.id)
        if truth is None:
            named, there = list(self.mentioned(question, answer)), self.there[question.id]
            return caption_marks(named, there, words=len(answer.split()))
        counts = Counter[str]()
        for split in self.splits[question.id]:
            count_all_parsers(counts, split, answer, truth=truth)
        return counts

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """POPE's figures by split and parser, and CHAIR's."""
        figures: dict[str, float] = {}
        for split in self.all_splits:
            figures |= figures_of_all_parsers(counts, split)
        captions = caption_figures(counts)
        return figures | {f"captions/{name}": value for name, value in captions.items()}

    def is_right(self, question: Question, answer: str) -> bool | None:
        """The yes/no questions, by POPE's official parser."""
        truth = self.truths.get(question.id)
        return None if truth is None else PARSERS[OFFICIAL](answer, truth) == truth

    def truth(self, question: Question) -> str:
        """Yes or no, or what the image of a caption shows."""
        truth = self.truths.get(question.id)
        if truth is None:
            return ", ".join(sorted(self.there[question.id])) or "nothing"
        return "yes" if truth else "no"


def caption_marks(named: list[str], there: frozenset[str], *, words: int) -> Counter[str]:
    """The counts of one caption: what it names, as often as it does, against what is there."""
    wrong = sum(one not in there for one in named)
    return Counter(
        {
            "captions": 1,
            "with wrong": int(wrong > 0),
            "mentions": len(named),
            "wrong mentions": wrong,
            "there": len(there),
            "named": len(there & set(named)),
            "words": words,
        }
    )


def caption_figures(counts: Mapping[str, int]) -> dict[str, float]:
    """CHAIR_S, CHAIR_I, recall and the mean length, from sums of `caption_marks`."""
    captions = counts.get("captions", 0)
    figures = percentages(
        {
            "CHAIR_S": (counts.get("with wrong", 0), captions),
            "CHAIR_I": (counts.get("wrong mentions", 0), counts.get("mentions", 0)),
            "recall": (counts.get("named", 0), counts.get("there", 0)),
        }
    )
    return figures | ({"length, words": counts.get("words", 0) / captions} if captions else {})
