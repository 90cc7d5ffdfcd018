"""A model of random weights that is measured in no time, and one whose clock counts."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from memvr_integrations.evaluate.costs.shapes import random_model, small_llava
from memvr_integrations.evaluate.costs.subject import Subject


def tiny_subject() -> Subject:
    config = small_llava(4, 32, 64, 2, vocabulary=1200)
    return Subject.of(random_model("tiny", config, torch.device("cpu"), torch.float32))


@dataclass(frozen=True)
class Ticking(Subject):
    """Each look at a clock takes a second, but for the one of the process."""

    ticks: Iterator[int] = field(default_factory=itertools.count)
    real: Iterator[int] = field(default_factory=itertools.count)

    def thread_seconds(self) -> float:
        return next(self.ticks)

    def synchronized(self) -> float:
        return next(self.real)
