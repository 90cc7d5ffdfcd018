"""The bundled model under examination: its backend, asked about numbered pictures."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from memvr_integrations.backend import (
    Backend,
    Completion,
    Image,
    Message,
    QueueConfig,
    Request,
    SamplingParams,
)
from memvr_integrations.memvr import MemVRConfig, blindfolded

Precision: TypeAlias = Literal["float32", "bfloat16"]

_BATCH = 64
_ANSWERS = ("Yes", "No")

Pictures: TypeAlias = Sequence[np.ndarray]
"""Pictures by number, each (height, width, 3) uint8."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A question about pictures, by their numbers, after earlier questions and their answers."""

    question: str
    pictures: tuple[int, ...]
    before: tuple[tuple[str, str], ...] = ()

    def messages(self, pictures: Pictures) -> tuple[Message, ...]:
        """The conversation; its pictures stand at its beginning."""
        shown = [Image(pictures[number]) for number in self.pictures]
        said = [text for turn in self.before for text in turn]
        first, *others = (*said, self.question)
        follow = [
            Message("user" if index % 2 else "assistant", text) for index, text in enumerate(others)
        ]
        return Message("user", [*shown, first]), *follow


def about(picture: int, question: str) -> Prompt:
    """A question about one picture, with nothing before it."""
    return Prompt(question=question, pictures=(picture,))


def says_yes(answer: Completion) -> bool:
    """Whether an answer begins with yes."""
    return answer.text.lower().startswith("yes")


class Examinee:
    """The model under examination.

    Everywhere `config` is what MemVR does (None: nothing), and `instead` are other pictures under
    the same numbers, to retrace in place of those that are asked about.
    """

    def __init__(self, folder: Path, precision: Precision = "float32") -> None:
        queueing = QueueConfig(max_batch=_BATCH)
        self.backend = Backend.load(
            folder, device="cpu", dtype=precision, progress=False, queueing=queueing
        )
        self._made, self._blindfolded = (folder, precision), False

    def __reduce__(self) -> tuple[type["Examinee"], tuple[Path, Precision]]:
        """To another process it goes as its folder: a model that has run doesn't pickle."""
        if self._blindfolded:
            raise ValueError("A blindfolded examinee can't be sent to another process.")
        return Examinee, self._made

    @contextmanager
    def blindfolded(self, layer: int | None) -> Iterator[None]:
        """Within the `with`, no question attends to its pictures from `layer` on; None: all do."""
        if layer is None:
            yield
            return
        with blindfolded(self.backend.model, from_layer=layer):
            self._blindfolded = True
            try:
                yield
            finally:
                self._blindfolded = False

    def ask(
        self,
        pictures: Pictures,
        prompts: Sequence[Prompt],
        *,
        config: MemVRConfig | None = None,
        instead: Pictures | None = None,
        tokens: int = 60,
    ) -> list[Completion]:
        """Greedy answers of at most so many tokens, in the order of the prompts."""
        requests = _requests(pictures, prompts, config, instead, tokens)
        # Prompts of like length share batches: padding costs as much as words.
        order = sorted(range(len(prompts)), key=lambda place: _length(prompts[place]))
        done = self.backend.generate([requests[place] for place in order])
        answers = dict(zip(order, done, strict=True))
        return [answers[place] for place in range(len(prompts))]

    def leanings(
        self,
        pictures: Pictures,
        prompts: Sequence[Prompt],
        *,
        config: MemVRConfig | None = None,
        instead: Pictures | None = None,
    ) -> Tensor:
        """How much likelier "Yes" is than "No": differences of logarithms, (prompts,)."""
        requests = _requests(pictures, prompts, config, instead, 1)
        with ThreadPoolExecutor(_BATCH) as threads:  # each asks for one: together they fill batches
            scores = threads.map(lambda one: self.backend.score(one, _ANSWERS), requests)
            return torch.tensor([yes - no for yes, no in scores])


def _requests(
    pictures: Pictures,
    prompts: Sequence[Prompt],
    config: MemVRConfig | None,
    instead: Pictures | None,
    tokens: int,
) -> list[Request]:
    if config is not None and instead is not None:
        config = config.changed({"control": "shuffled"})
    return [
        Request(
            messages=one.messages(pictures),
            sampling=SamplingParams(max_tokens=tokens),
            memvr=config,
            evidence=tuple(Image(instead[number]) for number in one.pictures) if instead else (),
        )
        for one in prompts
    ]


def _length(prompt: Prompt) -> tuple[int, int]:
    return len(prompt.pictures), len(prompt.question) + sum(map(len, sum(prompt.before, ())))
