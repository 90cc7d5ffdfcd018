"""What a decoding strategy is to the backend: its settings, at work on one model."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture, Prompt
from memvr_integrations.types.decoding import DecodingConfig

Config_co = TypeVar("Config_co", bound=DecodingConfig, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Second:
    """What a second stream reads beside a row: other inputs, perhaps another model."""

    host: Host
    prompt: Prompt
    pictures: Sequence[Picture]


@dataclass(frozen=True, kw_only=True, eq=False)
class Forward:
    """One forward pass, and which of its rows follow a strategy.

    `places` has each row's place in the batch; rows that share a prompt have one place. In a
    `prompt`, `real` says which positions are no padding, (batch, width) bool.
    """

    rows: Sequence[Row]
    places: Sequence[int]
    prompt: bool
    real: Tensor | None


class Method(Generic[Config_co]):
    """One strategy on one model; each has a file of its own.

    It is shared by all rows that are decoded by equal settings; what it keeps of a row from step
    to step lies in `row.carried`. `needs_only_logits` says that it works on models whose inside is
    closed too, `acts_inside` that it has something to do in the layers.
    """

    needs_only_logits: ClassVar[bool] = False
    acts_inside: ClassVar[bool] = False

    def __init__(self, host: Host, config: Config_co) -> None:
        """Nothing happens yet; `check` says whether the two go together."""
        self.host, self.config = host, config

    def check(self) -> None:
        """Refuse what can't work.

        Raises:
            UnsupportedModelError: The model lacks what the strategy needs.
            ConfigError: Its settings don't fit the model.
        """

    def second_prompt(self, job: Job) -> Prompt | None:
        """What a second stream of a job reads; None where it reads the same, or there is none."""

    def second(self, row: Row) -> Second | None:
        """What a second stream reads beside a row, whose tokens it follows; None without one."""

    def within(self, forward: Forward) -> AbstractContextManager[None]:
        """What happens in the layers during one forward pass."""
        return nullcontext()

    def scores(self, rows: Sequence[Row], own: Tensor, other: Tensor | None) -> Tensor:
        """The logits by which some rows choose their next token, -inf where they rule one out.

        Shapes: `own`, the model's logits, and the result are (rows, vocabulary) in float32;
        `other` are those of the second streams, where there are some.
        """
        return own

    def search(self, row: Row) -> Generator[None, None, None]:
        """Answer a row by a search of its own, for configs that are `whole`; a step at a time."""
        raise NotImplementedError
