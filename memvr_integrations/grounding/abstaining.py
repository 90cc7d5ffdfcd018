"""Withholding answers of which the model was too unsure: one rule for every integration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from memvr_integrations.checks import check_choice, check_kind, check_number, check_text
from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr.config import MemVRConfig

Action: TypeAlias = Literal["answer", "raise", "retry"]

CANNOT_TELL = "I can't tell from what I see."
"""What stands where an answer was withheld."""


@dataclass(frozen=True, kw_only=True)
class Abstaining:
    """What happens to an answer whose unsureness (`Completion.unsureness`) is above `threshold`.

    `action="answer"` puts `answer` in its place, "raise" an `AbstentionError`; "retry" asks once
    more under `stronger` retracing before it puts `answer` there. Without `stronger` that is
    twice the ratio at half the threshold of the first answer.

    Raises:
        ConfigError: An option is of another kind or outside its limits.
    """

    threshold: float
    action: Action = "answer"
    answer: str = CANNOT_TELL
    stronger: MemVRConfig | None = None

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, most=1)
        check_choice("action", self.action, get_args(Action))
        check_text("answer", self.answer)
        check_kind("stronger", self.stronger, MemVRConfig | None, "MemVRConfig(...), or None")

    def withholds(self, unsureness: float) -> bool:
        """Whether an answer is too unsure."""
        return unsureness > self.threshold

    def second_try(self, record: Mapping[str, Any]) -> MemVRConfig | None:
        """The settings to ask once more with; None where there is no reason, or no way.

        `record` is what is reported of the first answer under "memvr". Its "config" has the
        settings, None where MemVR was off or saw no picture.
        """
        if self.action != "retry" or not self.withholds(record["unsureness"]):
            return None
        used = record["config"]
        if self.stronger is not None or not used:
            return self.stronger
        config = MemVRConfig.from_dict(used)
        return replace(
            config,
            entropy_threshold=config.entropy_threshold / 2,
            retracing_ratio=min(1.0, 2 * config.retracing_ratio),
        )

    def verdict(self, unsureness: float, text: str) -> dict[str, object]:
        """What an answer's record says of it: the same keys always."""
        abstained = self.withholds(unsureness)
        return {
            "threshold": self.threshold,
            "abstained": abstained,
            "withheld": text if abstained else None,
        }


def known_threshold(model: str, *, given: float | None, measured: float | None) -> float:
    """The threshold that is given, or else the one that was measured on the model called so.

    Raises:
        ConfigError: There is neither.
    """
    chosen = measured if given is None else given
    if chosen is None:
        raise ConfigError(
            f"No threshold was measured for {model!r}; pass threshold=, 0 to 1, chosen on answers "
            "of which you know whether they are right."
        )
    return chosen
