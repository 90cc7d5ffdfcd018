"""Questions with what each strategy answered, and how the answers differ from the first one's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from memvr_integrations.evaluate.benchmarks.benchmark import (
    Benchmark,
    FromFile,
    Question,
    Truthful,
)
from memvr_integrations.evaluate.running.runs import Answer, Run


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one strategy answered under one seed; `right` is None where nothing judges it."""

    answer: Answer
    right: bool | None


@dataclass(frozen=True, kw_only=True)
class Replies:
    """One strategy's answers to a question, one for each seed."""

    strategy: str
    said: tuple[Said, ...]

    @property
    def right(self) -> bool | None:
        """Whether more than half of the judged answers are right; None where none is judged."""
        judged = [one.right for one in self.said if one.right is not None]
        return 2 * sum(judged) > len(judged) if judged else None

    @property
    def unsureness(self) -> float | None:
        """That of the least sure answer; None where it isn't known."""
        known = (one.answer.unsureness for one in self.said)
        return max((one for one in known if one is not None), default=None)

    @property
    def failed(self) -> bool:
        """Whether a seed has no answer."""
        return any(one.answer.error is not None for one in self.said)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question, what is right, and every strategy's answers; the first is what others flip."""

    id: str
    text: str
    images: tuple[Path | PIL.Image.Image, ...]
    truth: str
    kind: str
    replies: tuple[Replies, ...]

    def flipped(self, replies: Replies) -> bool | None:
        """Whether an answer that the first strategy got wrong (right) is right (wrong) here.

        True means that it became right, None that nothing changed or nothing is judged.
        """
        before, after = self.replies[0].right, replies.right
        return None if before is None or after is None or before == after else after


def asked_questions(
    benchmark: Benchmark,
    run: Run,
    questions: Sequence[Question],
    names: Sequence[str],
    seeds: Sequence[int],
) -> list[Asked]:
    """All questions that somebody was asked, in their order."""
    answers = {one.key: one for one in run}
    right = {
        (name, seed): benchmark.right(run.texts(name, seed)) for name in names for seed in seeds
    }
    return [
        Asked(
            id=question.id,
            text=question.text,
            images=question.images,
            truth=benchmark.truth(question) if isinstance(benchmark, Truthful) else "",
            kind=benchmark.kind(question) if isinstance(benchmark, FromFile) else "",
            replies=tuple(_replies(question.id, name, seeds, answers, right) for name in names),
        )
        for question in questions
    ]


def _replies(
    question: str,
    name: str,
    seeds: Sequence[int],
    answers: Mapping[tuple[str, int, str], Answer],
    right: Mapping[tuple[str, int], Mapping[str, bool]],
) -> Replies:
    return Replies(
        strategy=name,
        said=tuple(
            Said(answer=answers[name, seed, question], right=right[name, seed].get(question))
            for seed in seeds
            if (name, seed, question) in answers
        ),
    )
