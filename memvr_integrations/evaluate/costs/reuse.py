"""What is not computed twice: a second question, a second turn, ten questions, eight answers.

All are times to the first token, of answers that have no other: processor time of the whole
process in one thread, on other devices real time. With `scope="all"` a prompt that triggers is read
whole, so second questions that do are counted apart. Each round has pictures of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from memvr_integrations.backend.serving.backend import Backend
from memvr_integrations.evaluate.costs.figures import Spread, Table
from memvr_integrations.evaluate.costs.subject import Subject, settle
from memvr_integrations.types import Completion, Message, Request, SamplingParams, Text

SECOND = "second question on an image / first"
TRIGGERS = "the same, where the second question triggers"
NEVER = "the same, MemVR never triggers"
OFF = "the same, MemVR off"
TURN = "second turn / first"
TEN = "ten questions on an image at once / one"
EIGHT = "n = 8 / n = 1"
NAMES = (SECOND, TRIGGERS, NEVER, OFF, TURN, TEN, EIGHT)

_WHAT, _DOG = "What is in the picture?", "Is there a dog in the picture?"
_SAID = "There is a dog to the left of a red ball, and a tree."
_THINGS = ("dog", "cat", "car", "tree", "boat", "house", "bird", "ball", "cow", "bench")


class Reuse:
    """A model that is asked what it has seen before."""

    def __init__(self, backend: Backend, subject: Subject) -> None:
        self._backend, self._subject = backend, subject
        self._never = backend.preset.changed({"entropy_threshold": 9.0})

    def table(self, rounds: int) -> Table:
        """Ratios, each within a round, after one round to warm up."""
        found = {name: list[float]() for name in NAMES}
        with self._subject.one_thread():
            for turn in range(rounds + 1):
                for name, ratio in self._round():
                    if turn:
                        found[name].append(ratio)
        return Table(
            title="Never twice",
            note=f"times to the first token; {len(found[TRIGGERS])} of {rounds} second questions "
            "triggered.",
            columns=["ratio"],
            charted="ratio",
            rows={name: [Spread(ratios)] for name, ratios in found.items()},
        )

    def _round(self) -> Iterator[tuple[str, float]]:
        first, second = self._fresh(_WHAT, _DOG)
        base, _ = self._first_token([first])
        took, [answer] = self._first_token([second])
        yield SECOND if answer.tokens[0].trigger_layer is None else TRIGGERS, took / base

        for name, memvr in ((NEVER, self._never), (OFF, None)):
            first, second = (replace(asked, memvr=memvr) for asked in self._fresh(_WHAT, _DOG))
            base, _ = self._first_token([first])
            yield name, self._first_token([second])[0] / base

        [first] = self._fresh(_WHAT)
        base, _ = self._first_token([first])
        yield TURN, self._first_token([_next_turn(first)])[0] / base

        [one, *_], ten = (self._fresh(*(f"Is there a {one}?" for one in _THINGS)) for _ in "12")
        base, _ = self._first_token([one])
        yield TEN, self._first_token(ten)[0] / base

        [one], [eight] = self._fresh(_WHAT), self._fresh(_WHAT, n=8)
        base, _ = self._first_token([one])
        yield EIGHT, self._first_token([eight])[0] / base

    def _fresh(self, *questions: str, n: int = 1) -> list[Request]:
        """Questions about one picture, which is a new one."""
        picture = next(self._subject.pictures)
        sampling = SamplingParams(max_tokens=1, temperature=1.0, seed=0, n=n)
        return [Request.ask(question, picture, sampling=sampling) for question in questions]

    def _first_token(self, requests: Sequence[Request]) -> tuple[float, list[Completion]]:
        started = self._subject.seconds()
        answers = self._backend.generate(requests)
        settle(self._backend)
        return self._subject.seconds() - started, answers


def _next_turn(request: Request) -> Request:
    """The conversation when it was answered, and goes on."""
    said, asked = Message("assistant", [Text(_SAID)]), Message("user", [Text(_DOG)])
    return replace(request, messages=(*request.messages, said, asked))
