"""The settings of MemVR: validated when made, never changed afterwards."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, Self, get_args

from memvr_integrations.checks import check_choice, check_fields, check_integer, check_number
from memvr_integrations.errors import ConfigError

Uncertainty = Literal["top10", "vocabulary"]
Activation = Literal["silu", "gelu", "relu"]
Scope = Literal["all", "last"]
Control = Literal["damping", "shuffled"]

# The published windows are for decoders of this many layers.
_REFERENCE_DEPTH = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemVRConfig:
    """What triggers retracing, in which layers it may happen and how strong it is.

    Args:
        starting_layer: Layers after this one may trigger; -1 lets layer 0 trigger.
        ending_layer: Layers before this one may trigger. Both bounds are strict, so 5 and 16 probe
            layers 6 to 15 and retrace layers 7 to 16.
        entropy_threshold: A layer triggers when its entropy (0 to 1) is strictly above this.
        retracing_ratio: Share of visual evidence in the retraced FFN output, 0 to 1.
        uncertainty: Entropy over the ten largest logits / ln 10, or over all N logits / ln N.
        activation: Applied to the match between hidden state and visual tokens; None is linear.
        norm_before_head: Whether the decoder's final norm comes before the head in the probe.
        dynamic_ratio: Replace `retracing_ratio` by 2 * (entropy - threshold), clamped to 0..1.
        scope: Whether a trigger in the prompt retraces every prompt position, or the last alone.
            With "last" the prompt's cached keys do not depend on the question.
        control: For evaluation: "damping" multiplies the FFN by (1 - ratio) and adds no evidence,
            "shuffled" retraces the visual tokens of other images, which must be given then.

    Raises:
        ConfigError: A field is unknown, of the wrong type, or outside its limits.
    """

    starting_layer: int = 5
    ending_layer: int = 16
    entropy_threshold: float = 0.75
    retracing_ratio: float = 0.12
    uncertainty: Uncertainty = "top10"
    activation: Activation | None = None
    norm_before_head: bool = True
    dynamic_ratio: bool = False
    scope: Scope = "all"
    control: Control | None = None

    def __new__(cls, **settings: object) -> Self:
        """Refuse unknown fields before the generated `__init__` turns them into a TypeError."""
        check_fields(cls, settings)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Check every field against its limits."""
        check_integer("starting_layer", self.starting_layer, least=-1)
        check_integer("ending_layer", self.ending_layer, least=1)
        if self.ending_layer - self.starting_layer < 2:
            raise ConfigError(
                f"No layer lies strictly between starting_layer={self.starting_layer} and "
                f"ending_layer={self.ending_layer}; ending_layer must be at least "
                f"{self.starting_layer + 2}."
            )
        check_number("entropy_threshold", self.entropy_threshold, most=math.inf)
        check_number("retracing_ratio", self.retracing_ratio, most=1.0)
        check_choice("uncertainty", self.uncertainty, get_args(Uncertainty))
        check_choice("activation", self.activation, (None, *get_args(Activation)))
        check_choice("norm_before_head", self.norm_before_head, (True, False))
        check_choice("dynamic_ratio", self.dynamic_ratio, (True, False))
        check_choice("scope", self.scope, get_args(Scope))
        check_choice("control", self.control, (None, *get_args(Control)))

    @classmethod
    def from_dict(cls, settings: Mapping[str, object]) -> Self:
        """Make a config from the fields of a JSON object; the inverse of `to_dict`.

        Raises:
            ConfigError: As the constructor does.
        """
        return cls(**dict(settings))  # type: ignore[arg-type]  # the constructor checks the types

    @classmethod
    def read(cls, value: object) -> Self | dict[str, object] | bool | None:
        """What a `memvr=` option may hold: True, False, None, a config, or some of its fields.

        Some fields alone stay a dict: they change the model's preset, see `changed`.

        Raises:
            ConfigError: It is something else.
        """
        if isinstance(value, Mapping):
            whole, fields = cls.from_dict(value), dataclasses.fields(cls)
            return whole if len(value) == len(fields) else dict(value)
        if value is None or isinstance(value, cls | bool):
            return value
        raise ConfigError(
            f"memvr={value!r} must be True, False, None, a MemVRConfig(...) or a dict of its "
            "fields."
        )

    def changed(self, fields: Mapping[str, object]) -> Self:
        """The same settings with some fields changed.

        Raises:
            ConfigError: As the constructor does.
        """
        return type(self).from_dict(self.to_dict() | dict(fields))

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return published settings: "llava", "qwen_vl", "glm_4v", or "paper" for the paper's text.

        Their windows are for 32 layers; see `for_depth`.

        Raises:
            ConfigError: No preset has this name.
        """
        if name not in _PRESETS:
            raise ConfigError(f"No preset is called {name!r}. Choose from {sorted(_PRESETS)}.")
        return cls.from_dict(_PRESETS[name])

    def for_depth(self, layers: int) -> Self:
        """Move a window made for 32 layers to the same relative depth of another decoder.

        Both edges are scaled by `layers` / 32 and rounded; at least one layer stays probed.

        Raises:
            ConfigError: `layers` is below 2; then no layer has a successor to retrace.
        """
        check_integer("layers", layers, least=2)
        first = min(round((self.starting_layer + 1) * layers / _REFERENCE_DEPTH), layers - 2)
        beyond = max(round(self.ending_layer * layers / _REFERENCE_DEPTH), first + 1)
        return dataclasses.replace(self, starting_layer=first - 1, ending_layer=beyond)

    def to_dict(self) -> dict[str, int | float | str | bool | None]:
        """Return the fields as plain values that JSON can hold."""
        return dataclasses.asdict(self)


_LATER: dict[str, object] = {
    "starting_layer": 9,
    "retracing_ratio": 0.28,
    "activation": "silu",
    "norm_before_head": False,
}
_PRESETS: dict[str, dict[str, object]] = {
    "llava": {},
    "qwen_vl": _LATER,
    "glm_4v": _LATER,
    "paper": {"uncertainty": "vocabulary", "activation": "silu"},
}
