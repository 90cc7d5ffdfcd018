"""What a decoding strategy is to the backend: its settings, at work on one model."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, Generic, TypeVar

from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.decoding.strategies.logit_rules import Rule
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Prompt
from memvr_integrations.types.decoding import DecodingConfig

Config_co = TypeVar("Config_co", bound=DecodingConfig, covariant=True)


class Method(Generic[Config_co]):
    """One strategy on one model; each has a file of its own.

    `needs_only_logits` says that it works on models whose inside is closed too.
    """

    needs_only_logits: ClassVar[bool] = False

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
        """What a second run of a job reads; None where it reads the same, or there is none."""

    def rule(self, rows: Sequence[Row]) -> AbstractContextManager[Rule]:
        """The rule of one batch, for as long as the batch runs."""
        raise NotImplementedError

    def answer(self, row: Row) -> None:
        """Answer a row by a search of its own, for configs that are `whole`."""
        raise NotImplementedError
