"""What a method asks of a model: to read a prompt with its answer, whatever its visual tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from memvr_integrations.explain.regions import Regions


@dataclass(frozen=True, kw_only=True, eq=False)
class Visual:
    """The visual tokens of all pictures of a prompt, in order.

    Shapes: `tokens` (tokens, dim); `deep`, what some families add in deeper layers, a tensor
    (tokens, dim) a level.
    """

    tokens: Tensor
    deep: tuple[Tensor, ...] = ()

    def without(self, gone: Tensor, spans: Sequence[tuple[int, int]]) -> "Visual":
        """Put the mean token of its picture in the place of those that are `gone`, (tokens,) bool.

        `spans` has each picture's first token and the one after its last.
        """
        return Visual(
            tokens=_meant(self.tokens, gone, spans),
            deep=tuple(_meant(level, gone, spans) for level in self.deep),
        )


class Reader(Protocol):
    """A prompt with the answer that was given to it; gradients pass where they are enabled."""

    @property
    def model(self) -> nn.Module:
        """The model that reads."""

    @property
    def visual(self) -> Visual:
        """What its pictures became."""

    @property
    def spans(self) -> Sequence[tuple[int, int]]:
        """Each picture's first visual token, and the one after its last."""

    @property
    def regions(self) -> Sequence[Regions]:
        """Where in each picture its visual tokens lie."""

    @property
    def columns(self) -> Tensor:
        """Where in the prompt each visual token lies, (tokens,)."""

    @property
    def length(self) -> int:
        """How many tokens the prompt has."""

    @property
    def answer(self) -> Tensor:
        """The answer's tokens, (answer,)."""

    def logits(self, rows: Sequence[Visual]) -> Tensor:
        """What the model says at each of the answer's places, a row for each `Visual`.

        Shapes: (rows, answer, vocabulary) float32.
        """

    def covered(self, image: int, box: tuple[float, float, float, float]) -> Visual:
        """What the pictures become where a part of one of them, in its pixels, is painted over."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is explained: the log-probability of an answer's token, or its lead over a rival.

    Args:
        place: Which of the answer's tokens.
        token: Its id.
        rival: Of whose log-probability it has the lead, as "No" is that of "Yes"; None: of nobody.
    """

    place: int
    token: int
    rival: int | None = None

    def score(self, logits: Tensor) -> Tensor:
        """The score of each of some rows: `logits` (rows, answer, vocabulary) gives (rows,)."""
        here = logits[:, self.place]
        if self.rival is None:
            return here.log_softmax(-1)[:, self.token]
        return here[:, self.token] - here[:, self.rival]


def _meant(tokens: Tensor, gone: Tensor, spans: Sequence[tuple[int, int]]) -> Tensor:
    pieces = []
    for start, end in spans:
        own = tokens[start:end]
        mean = own.float().mean(0).to(own.dtype)
        pieces.append(torch.where(gone[start:end, None].to(own.device), mean, own))
    return torch.cat(pieces)
