"""What a benchmark is: questions about images, and counts from which its figures follow."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import PIL.Image

from memvr_integrations.errors import BenchmarkError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question; `group` names those that are resampled together when an interval is computed.

    That is the image, or whatever larger thing a figure of the benchmark is counted over.
    """

    id: str
    text: str
    images: tuple[Path | PIL.Image.Image, ...]
    group: str
    max_tokens: int = 64


class Benchmark(Protocol):
    """A data set with a scorer.

    All figures are functions of sums over groups, so that intervals and paired tests can
    resample groups without scoring any answer twice.
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
        """The published figures, by name, from the sum of some groups' counts.

        In percent, except where a name's end gives a unit after a comma ("length, words") and for
        MME's sums. Names are paths ("popular/official/accuracy"). What is undefined, such as the
        precision of a model that never says yes, is left out.
        """

    def right(self, answers: Mapping[str, str]) -> dict[str, bool]:
        """Whether an answer is right, by question id, without those that are neither."""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A benchmark that marks each answer by itself, and sums the marks up by group."""

    questions: tuple[Question, ...]
    name: str

    def mark(self, question: Question, answer: str) -> Mapping[str, int]:
        """The counts of one answer."""
        raise NotImplementedError

    def is_right(self, question: Question, answer: str) -> bool | None:
        """Whether an answer is right; None where it is neither right nor wrong."""
        return None

    def marks(self, answers: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Counts by group."""
        marks: dict[str, Counter[str]] = {}
        for question, answer in answered(self.questions, answers):
            marks.setdefault(question.group, Counter()).update(self.mark(question, answer))
        return marks

    def right(self, answers: Mapping[str, str]) -> dict[str, bool]:
        """By question, without those whose answers are neither right nor wrong."""
        return {
            question.id: verdict
            for question, answer in answered(self.questions, answers)
            if (verdict := self.is_right(question, answer)) is not None
        }


@runtime_checkable
class Submission(Protocol):
    """A benchmark whose own server, script or judge takes a file of answers."""

    suffix: ClassVar[str]
    """How the file's name ends, without the dot."""

    def answers_file(self, answers: Mapping[str, str], *, model: str) -> str:
        """The text of that file, from answers by question id; `model` is named where it asks.

        Raises:
            BenchmarkError: The file must have every answer, and one is missing.
        """


@runtime_checkable
class Truthful(Protocol):
    """A benchmark that can say in words what is right, for those who read answers."""

    def truth(self, question: Question) -> str:
        """What is right, or what the image shows; empty where nobody knows."""


@runtime_checkable
class FromFile(Protocol):
    """A benchmark that a file of the user's own holds."""

    @property
    def content_hash(self) -> str:
        """What the file is, wherever it lies and whatever it is called."""

    @property
    def about(self) -> str:
        """What was made of the file, in one sentence."""

    def kind(self, question: Question) -> str:
        """How answers to a question are judged, and whether the file says so."""


@runtime_checkable
class Themed(Protocol):
    """A benchmark that knows which of its images show the same kind of scene."""

    def alike(self, group: str) -> str | None:
        """Another group whose images show the same kind of scene; None where there is none."""


def answered(
    questions: Sequence[Question], answers: Mapping[str, str]
) -> Iterator[tuple[Question, str]]:
    """The questions that have an answer, with it, in their own order.

    Raises:
        BenchmarkError: An answer belongs to no question.
    """
    known = {question.id for question in questions}
    for name in answers:
        if name not in known:
            raise BenchmarkError(
                f"An answer has the id {name!r}, which no question has; these answers belong to "
                f"another benchmark, or to other settings of it.{did_you_mean(name, known)}"
            )
    for question in questions:
        if question.id in answers:
            yield question, answers[question.id]


def all_answered(
    questions: Sequence[Question], answers: Mapping[str, str]
) -> list[tuple[Question, str]]:
    """All questions with their answers, for what reads a file of answers line by line.

    Raises:
        BenchmarkError: A question has no answer, or an answer no question.
    """
    given = list(answered(questions, answers))
    if len(given) < len(questions):
        first = next(question.id for question in questions if question.id not in answers)
        raise BenchmarkError(
            f"A file of answers needs them all, and {len(questions) - len(given)} of "
            f"{len(questions)} are missing; the first is that to {first!r}."
        )
    return given


def by_group(questions: Sequence[Question]) -> dict[str, list[str]]:
    """The ids of each group's questions."""
    groups: dict[str, list[str]] = {}
    for question in questions:
        groups.setdefault(question.group, []).append(question.id)
    return groups


def complete(sets: Mapping[str, Sequence[str]], right: Mapping[str, bool]) -> dict[str, bool]:
    """Whether all answers of a set are right, for each set of question ids that are all answered.

    Sets with an open question are left out: a half-answered pair says nothing yet.
    """
    return {
        name: all(right[one] for one in ids)
        for name, ids in sets.items()
        if all(one in right for one in ids)
    }


def percentages(parts: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """100 * part / whole by name, without those whose whole is empty."""
    return {name: 100 * part / whole for name, (part, whole) in parts.items() if whole}
