"""What a benchmark is: questions about images, and counts from which its figures follow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import PIL.Image


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question; `group` names those that are drawn together when an interval is computed.

    That is the image, or whatever larger thing a figure of the benchmark is counted over.
    """

    id: str
    text: str
    images: tuple[Path | PIL.Image.Image, ...]
    group: str
    max_tokens: int = 64


class Benchmark(Protocol):
    """A data set with a scorer.

    All figures are functions of sums over groups, so that intervals and paired tests can draw
    groups anew without scoring any answer twice.
    """

    @property
    def name(self) -> str:
        """What it is called on the command line."""

    @property
    def questions(self) -> Sequence[Question]:
        """All questions, with ids of their own."""

    def marks(self, answers: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Counts by group, from answers by question id; questions without an answer are left out.

        Raises:
            BenchmarkError: An answer belongs to no question.
        """

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The published figures, by name, from the sum of some groups' counts."""

    def right(self, answers: Mapping[str, str]) -> dict[str, bool] | None:
        """Which answers are right, by question id, for McNemar's test; None where none is."""
