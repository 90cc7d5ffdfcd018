"""Asks one benchmark's questions in several ways, in turns, and keeps every answer at once."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import PIL.Image
import torch
from tqdm import tqdm

from memvr_integrations.errors import BackendClosedError, MemVRError
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.running.runs import Answer, Run
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Image, Message, Request, SamplingParams
from memvr_integrations.types.decoding import DecodingConfig
from memvr_integrations.types.engine import Engine

Picture: TypeAlias = Path | PIL.Image.Image


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One way of decoding, by the name that it has in tables.

    `others` are the images that the control "shuffled" retraces, by group; where there are none,
    those of the next group.
    """

    name: str
    memvr: MemVRConfig | None = None
    decoding: DecodingConfig | None = None
    temperature: float = 0.0
    others: Mapping[str, Sequence[Picture]] | None = None

    def request(self, question: Question, seed: int, others: Sequence[Picture] = ()) -> Request:
        """The question, to be answered in this way; `others` are images of another question."""
        return self.asked(
            (Message("user", [*map(Image, question.images), question.text]),),
            SamplingParams(max_tokens=question.max_tokens, temperature=self.temperature, seed=seed),
            tuple(map(Image, others)),
        )

    def asked(
        self, messages: Sequence[Message], sampling: SamplingParams, others: Sequence[Image] = ()
    ) -> Request:
        """A conversation, to be answered in this way.

        A control that retraces other images takes `others`.
        """
        return Request(
            messages=tuple(messages),
            sampling=sampling,
            memvr=self.memvr,
            decoding=self.decoding,
            evidence=tuple(others) if self.shuffled else (),
        )

    @property
    def shuffled(self) -> bool:
        """Whether it is the control that retraces other images."""
        return self.memvr is not None and self.memvr.control == "shuffled"

    def to_dict(self) -> dict[str, object]:
        """All that makes the answers what they are, for a plan."""
        return {
            "name": self.name,
            "memvr": self.memvr.to_dict() if self.memvr else None,
            "decoding": self.decoding.to_dict() if self.decoding else None,
            "temperature": self.temperature,
        }


class Asking:
    """The asking of all questions that a run has no answer to yet.

    A batch of questions goes to every strategy before the next batch does: what else the machine
    does meanwhile hits all alike. A question that can't be asked is noted with its error.
    """

    def __init__(self, engine: Engine, run: Run, *, batch: int = 8, progress: bool = True) -> None:
        self._engine, self._run, self._batch = engine, run, batch
        self._silent = not progress
        self._others: Mapping[str, Sequence[Picture]] = {}
        self.peak_bytes: dict[str, int] = {}

    def ask(
        self, questions: Sequence[Question], strategies: Sequence[Strategy], seeds: Sequence[int]
    ) -> None:
        """Ask until every question has its answers.

        Raises:
            BackendClosedError: The model is gone, so that no question can be answered any more.
        """
        self._others = _other_images(questions)
        total = len(questions) * len(strategies) * len(seeds)
        with tqdm(total=total, desc="Asking", disable=self._silent) as bar:
            for batch in _batches(questions, self._batch):
                for seed in seeds:
                    for strategy in strategies:
                        self._ask(batch, strategy, seed)
                        bar.update(len(batch))

    def _ask(self, batch: Sequence[Question], strategy: Strategy, seed: int) -> None:
        left = [one for one in batch if (strategy.name, seed, one.id) not in self._run]
        if not left:
            return
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        answers = self._answered(left, strategy, seed)
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated()
            self.peak_bytes[strategy.name] = max(peak, self.peak_bytes.get(strategy.name, 0))
        self._run.add(answers)

    def _answered(self, batch: Sequence[Question], strategy: Strategy, seed: int) -> list[Answer]:
        others = self._others if strategy.others is None else strategy.others
        requests = [strategy.request(one, seed, others.get(one.group, ())) for one in batch]
        started = time.perf_counter()
        try:
            done = self._engine.generate(requests)
        except BackendClosedError:
            raise
        except MemVRError as error:
            if len(batch) > 1:
                # One bad question fails a list; alone, each gives its own error.
                return [one for alone in batch for one in self._answered([alone], strategy, seed)]
            failure = " ".join(str(error).split())
            return [
                Answer(
                    strategy=strategy.name,
                    seed=seed,
                    question=batch[0].id,
                    text="",
                    error=failure,
                )
            ]
        seconds = (time.perf_counter() - started) / len(batch)
        return [
            Answer(
                strategy=strategy.name,
                seed=seed,
                question=question.id,
                text=one.text,
                tokens=one.usage.completion_tokens,
                retraced=one.retraced,
                seconds=seconds,
                unsureness=one.unsureness,
            )
            for question, one in zip(batch, done, strict=True)
        ]


def _other_images(questions: Sequence[Question]) -> dict[str, tuple[Picture, ...]]:
    """For every group the images of the next one that has any: always the same."""
    shown = {question.group: question.images for question in questions if question.images}
    groups = list(shown)
    if len(groups) < 2:
        return {}
    following = dict(zip(groups, [*groups[1:], groups[0]], strict=True))
    return {group: shown[other] for group, other in following.items()}


def _batches(questions: Sequence[Question], size: int) -> Iterator[Sequence[Question]]:
    for start in range(0, len(questions), size):
        yield questions[start : start + size]
