"""Withholding answers of which the model was too unsure: one rule for every integration."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, TypeAlias, get_args

from memvr_integrations.checks import (
    check_choice,
    check_fields,
    check_kind,
    check_number,
    check_text,
)
from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr.config import MemVRConfig

Action: TypeAlias = Literal["answer", "raise", "retry"]

CANNOT_TELL = "I can't tell from what I see."
"""What stands where an answer was withheld."""


@dataclass(frozen=True, kw_only=True)
class Abstaining:
    """What happens to an answer whose unsureness is above `threshold`, 0 to 1.

    None is the threshold that was measured on the model which answers. `action="answer"` puts
    `answer` in its place, "raise" an `AbstentionError`; "retry" asks once more under `stronger`
    retracing before it puts `answer` there. Without `stronger` that is twice the ratio at half the
    threshold of the first answer.

    Raises:
        ConfigError: An option is of another kind or outside its limits.
    """

    threshold: float | None = None
    action: Action = "answer"
    answer: str = CANNOT_TELL
    stronger: MemVRConfig | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_number("threshold", self.threshold, most=1)
        check_choice("action", self.action, get_args(Action))
        check_text("answer", self.answer)
        check_kind("stronger", self.stronger, MemVRConfig | None, "MemVRConfig(...), or None")

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Make a rule from the fields of a JSON object; the inverse of `to_dict`.

        Raises:
            ConfigError: As the constructor does; or there is no such field.
        """
        check_fields(cls, options)
        stronger = options.get("stronger")
        if isinstance(stronger, Mapping):
            options = {**options, "stronger": MemVRConfig.from_dict(stronger)}
        return cls(**options)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain values that JSON can hold."""
        stronger = None if self.stronger is None else self.stronger.to_dict()
        return {**asdict(self), "stronger": stronger}

    def known(self, model: str, measured: float | None) -> "KnownRule":
        """The rule with its threshold: its own, or else what was measured on the model so called.

        Raises:
            ConfigError: There is neither.
        """
        chosen = measured if self.threshold is None else self.threshold
        if chosen is None:
            raise ConfigError(
                f"No threshold was measured for {model!r}; give one, 0 to 1, as abstain=0.5, "
                "chosen on answers of which you know whether they are right."
            )
        return KnownRule(threshold=chosen, rule=self)


@dataclass(frozen=True, kw_only=True)
class KnownRule:
    """A rule with the threshold that counts."""

    threshold: float
    rule: Abstaining

    def withholds(self, unsureness: float) -> bool:
        """Whether an answer is too unsure."""
        return unsureness > self.threshold

    def second_try(self, unsureness: float, used: MemVRConfig | None) -> MemVRConfig | None:
        """The settings to ask once more with; None where there is no reason, or no way.

        `used` are those of the first answer, None where MemVR was off or saw no picture.
        """
        if self.rule.action != "retry" or not self.withholds(unsureness):
            return None
        if self.rule.stronger is not None or used is None:
            return self.rule.stronger
        return replace(
            used,
            entropy_threshold=used.entropy_threshold / 2,
            retracing_ratio=min(1.0, 2 * used.retracing_ratio),
        )

    def verdict(self, unsureness: float, text: str) -> dict[str, object]:
        """What an answer's record says of it: the same keys always."""
        abstained = self.withholds(unsureness)
        return {
            "threshold": self.threshold,
            "abstained": abstained,
            "withheld": text if abstained else None,
        }


def read_abstaining(value: object) -> Abstaining | None:
    """A rule from what an option `abstain=` may be: True takes the measured threshold.

    Raises:
        ConfigError: It is none of these, or outside its limits.
    """
    match value:
        case None | False:
            return None
        case True:
            return Abstaining()
        case Abstaining():
            return value
        case Mapping():
            return Abstaining.from_dict(value)
        case int() | float():
            return Abstaining(threshold=value)
    raise ConfigError(
        f"abstain={value!r} must be True (the threshold measured on the model), a threshold from 0 "
        "to 1, Abstaining(...) or a dict of its fields; None gives every answer."
    )
