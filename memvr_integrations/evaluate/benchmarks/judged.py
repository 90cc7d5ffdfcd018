"""Benchmarks whose answers a judge marks elsewhere: here only their length is counted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from memvr_integrations.evaluate.benchmarks.benchmark import Question, answered


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Questions with free answers; a subclass writes the file for its judge."""

    questions: tuple[Question, ...]
    name: str

    def marks(self, answers: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Counts by image."""
        marks: dict[str, Counter[str]] = {}
        for question, answer in answered(self.questions, answers):
            counts = marks.setdefault(question.group, Counter())
            counts["answers"] += 1
            counts["words"] += len(answer.split())
        return marks

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The mean length in words."""
        answers = counts.get("answers", 0)
        return {"length, words": counts.get("words", 0) / answers} if answers else {}

    def right(self, answers: Mapping[str, str]) -> None:
        """None: a judge decides."""
