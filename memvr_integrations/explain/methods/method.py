"""What all methods share: how one is called, and what it may use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from memvr_integrations.explain.maps import Map
from memvr_integrations.explain.reading import Reader, Target
from memvr_integrations.explain.replay import Replay

Slice = Callable[[], None]
"""A piece of work that takes about as long as a forward pass or two."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a method found, by the target's place in the answer.

    Shapes: `values` has a number a visual token, (tokens,) float32 on the CPU; `painted` a map over
    each picture, (rows, columns), whose visual tokens lie nowhere; `scores` what was explained.
    """

    values: dict[int, Tensor] = field(default_factory=dict)
    painted: dict[int, dict[int, Map]] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)


class Method(Protocol):
    """Traces scores to visual tokens, slice by slice: other work may be done between two."""

    def __call__(
        self, reader: Reader, targets: Sequence[Target], replay: Replay | None, found: Found
    ) -> list[Slice]:
        """Slices of work that fill `found` when all were done, in order.

        `replay` is MemVR as it acted in the answer; None: it is off.

        Raises:
            UnsupportedModelError: From a slice: the method can't be used on this model.
        """
