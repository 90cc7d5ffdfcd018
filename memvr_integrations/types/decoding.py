"""Decoding strategies beside greedy decoding and sampling: one settings class each.

A strategy changes what the model would say next; how a token is then chosen (sampling, grammars,
stop strings) stays the request's own matter. MemVR is no strategy but goes along with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, Self, TypeAlias, get_args

from memvr_integrations.checks import (
    check_choice,
    check_fields,
    check_integer,
    check_number,
    check_text,
)
from memvr_integrations.errors import ConfigError, did_you_mean

ContrastControl: TypeAlias = Literal["plausibility"]
Depth: TypeAlias = Literal["low", "high"]
Pooling: TypeAlias = Literal["mean", "weighted"]

Json: TypeAlias = int | float | str | bool | list[int] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """What all strategies share: `name`, and settings that are checked when they are made.

    `needs_image` says whether a request without pictures is decoded plainly instead; `whole`
    whether an answer is only known at its end.
    """

    name: ClassVar[str]
    needs_image: ClassVar[bool] = False
    whole: ClassVar[bool] = False

    def __new__(cls, **settings: object) -> Self:
        """Refuse unknown fields before the generated `__init__` turns them into a TypeError."""
        check_fields(cls, settings)
        return super().__new__(cls)

    @classmethod
    def from_dict(cls, settings: Mapping[str, object]) -> Self:
        """Make a config from the fields of a JSON object, with or without its `name`.

        Raises:
            ConfigError: As the constructor does.
        """
        fields = {key: value for key, value in settings.items() if key != "name"}
        return cls(**fields)

    def to_dict(self) -> dict[str, Json]:
        """Return `name` and the fields as plain values that JSON can hold."""
        values = dataclasses.asdict(self)
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
        return {"name": self.name} | plain


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastConfig(DecodingConfig):
    """What the contrastive strategies share.

    Args:
        alpha: Strength of what is taken away, or of what FLB adds; 0 leaves the model's own logits.
        beta: Only tokens at least this likely, relative to the likeliest, are kept; 0 keeps all.
        control: "plausibility" is for evaluation: keep the cut, leave out the contrast.
    """

    alpha: float = 1.0
    beta: float = 0.1
    control: ContrastControl | None = None

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, most=100)
        check_number("beta", self.beta, most=1)
        check_choice("control", self.control, (None, *get_args(ContrastControl)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class VCDConfig(ContrastConfig):
    """Visual contrastive decoding: away from what the model would say of a noisy image.

    `(1 + alpha) l(v) - alpha l(v')` with v' the image after `noise_step` of 1000 steps of
    diffusion noise. Two forwards a token, two caches. Source: arXiv 2311.16922.
    """

    name: ClassVar[str] = "vcd"
    needs_image: ClassVar[bool] = True

    noise_step: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("noise_step", self.noise_step, least=0, most=999)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ICDConfig(ContrastConfig):
    """Instruction contrastive decoding: away from what a disturbed instruction makes it say.

    `(1 + alpha) l(x) - alpha l(d + x)` with `disturbance` d put before the newest question. Two
    forwards a token, two caches. Source: arXiv 2403.18715.
    """

    name: ClassVar[str] = "icd"

    disturbance: str = "You are a confused object detector."

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("disturbance", self.disturbance, "the sentence that disturbs the instruction")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastiveConfig(ContrastConfig):
    """Contrastive decoding: away from what a smaller model with the same tokenizer would say.

    `log p_teacher - alpha log p_student`. A forward of each model a token; the student stays in
    memory as long as the backend. Source: arXiv 2210.15097.

    Args:
        student: The smaller model: catalog name, directory or hub id.
    """

    name: ClassVar[str] = "contrastive"

    student: str = ""
    alpha: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("student", self.student, "a smaller model with the same tokenizer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoLaConfig(ContrastConfig):
    """Decoding by contrasting layers: away from what an early layer would say.

    `log p - alpha log p_early`; at each token every row takes the early layer that differs most
    from the last (by Jensen-Shannon divergence). One forward a token and the head once for each
    of `layers`. Source: arXiv 2309.03883.

    Args:
        layers: The candidates, counted from 0, the embeddings; "low" is every second one of the
            lower half, "high" of the upper half.
        norm_before_head: Whether the decoder's final norm comes before the head there. The
            published code has none.
    """

    name: ClassVar[str] = "dola"

    layers: Depth | tuple[int, ...] = "low"
    norm_before_head: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("norm_before_head", self.norm_before_head, (True, False))
        if isinstance(self.layers, str):
            check_choice("layers", self.layers, get_args(Depth))
            return
        if not isinstance(self.layers, Iterable) or not (chosen := tuple(self.layers)):
            raise ConfigError(f"layers={self.layers!r} must be 'low', 'high' or numbers of layers.")
        for layer in chosen:
            check_integer("layers", layer, least=0)
        object.__setattr__(self, "layers", tuple(sorted(set(chosen))))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FLBConfig(ContrastConfig):
    """First-logit boosting: what the first token's logits knew is added to all later ones.

    `l_t + alpha (1 - exp(-rate t)) l_0`, kept where l_t is plausible. One forward a token; nothing
    changes in an answer of one token but the cut. Source: arXiv 2604.00455.

    Args:
        rate: How fast the addition grows from token to token.
    """

    name: ClassVar[str] = "flb"

    alpha: float = 0.3
    rate: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("rate", self.rate, most=100)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OPERAConfig(DecodingConfig):
    """OPERA: beams that pay for trusting one of their own tokens too much, and are taken back.

    The last layer's attention (the greatest over heads, a row's sum 1) of each candidate token
    gives a penalty: `max_j 1e-7 prod_{i>=j} sigma a_ij` over the answer's tokens; among the first
    ten tokens minus the attention to the image. Where the same j recurs in all beams, the answer
    goes on from there with other tokens. `1 + candidates` forwards a token, each of `beams` rows,
    and a forward for every token that is read again after a roll-back. One request at a time,
    greedy, shown at its end, without MemVR. Source: arXiv 2311.17911.

    Args:
        beams: How many continuations are followed.
        sigma: Scales the attention, so that its products don't vanish.
        threshold: How often j must have recurred in every beam.
        candidates: Tokens that are tried for each beam, and roll-backs to one place at most.
        weight: Of the penalty against the log-probabilities; 0 is plain beam search.
        history: How many tokens back a roll-back may reach.
    """

    name: ClassVar[str] = "opera"
    whole: ClassVar[bool] = True

    beams: int = 5
    sigma: float = 50.0
    threshold: int = 15
    candidates: int = 5
    weight: float = 1.0
    history: int = 512

    def __post_init__(self) -> None:
        check_integer("beams", self.beams, least=1, most=64)
        check_number("sigma", self.sigma, most=1e4)
        check_integer("threshold", self.threshold, least=1)
        check_integer("candidates", self.candidates, least=1, most=64)
        check_number("weight", self.weight, most=1e6)
        check_integer("history", self.history, least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RudderConfig(DecodingConfig):
    """RUDDER: the attention's summary of the prompt is added to the residual stream again.

    In the prompt the attention outputs of one layer are pooled into a direction v of length one;
    after the same attention of each later token `strength g v` is added, with
    `g = a / (a + b)`, `a, b = softplus(+-sensitivity cos(h, v) + concentration)`, clamped to
    `gate_min`..`gate_max`. One forward a token. Source: arXiv 2511.10292.

    Args:
        strength: The most that is added; 0 leaves the model as it is. In units of the residual
            stream, so that each model needs its own; the default is LLaVA-1.5-7B's.
        sensitivity: How steeply the gate follows the alignment of h and v.
        concentration: How smoothly.
        gate_min: The least that the gate lets through.
        gate_max: The most.
        layer: The layer, counted from 0; None is the published one (30 of 32) at this depth.
        pooling: Over the prompt's positions: their mean, or "weighted" by their length.
    """

    name: ClassVar[str] = "rudder"
    needs_image: ClassVar[bool] = True

    strength: float = 20.0
    sensitivity: float = 5.0
    concentration: float = 1.0
    gate_min: float = 0.05
    gate_max: float = 1.0
    layer: int | None = None
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        check_number("strength", self.strength, most=1e4)
        check_number("sensitivity", self.sensitivity, most=1e3)
        check_number("concentration", self.concentration, most=1e3)
        check_number("gate_max", self.gate_max, most=1)
        check_number("gate_min", self.gate_min, most=self.gate_max)
        if self.layer is not None:
            check_integer("layer", self.layer, least=0)
        check_choice("pooling", self.pooling, get_args(Pooling))


@dataclasses.dataclass(frozen=True, kw_only=True)
class YesBiasConfig(DecodingConfig):
    """A control for evaluation: `bias` is added to the logit of "yes" at the first token.

    What it gains on yes/no questions, a decoder that looks at the image has to gain beyond it.
    """

    name: ClassVar[str] = "yes-bias"

    bias: float = 1.0

    def __post_init__(self) -> None:
        check_number("bias", self.bias, least=-100, most=100)


STRATEGIES: dict[str, type[DecodingConfig]] = {
    kind.name: kind
    for kind in (
        VCDConfig,
        ICDConfig,
        DoLaConfig,
        ContrastiveConfig,
        FLBConfig,
        OPERAConfig,
        RudderConfig,
        YesBiasConfig,
    )
}
"""The settings class of each strategy, by the name that `decoding=` takes."""

Decoding: TypeAlias = DecodingConfig | Mapping[str, object] | str


def read_decoding(value: object) -> DecodingConfig | None:
    """What a `decoding=` option may hold: None, a config, a name, or a dict with `name`.

    Raises:
        ConfigError: It is something else, or its fields are outside their limits.
    """
    if value is None or isinstance(value, DecodingConfig):
        return value
    name = value.get("name") if isinstance(value, Mapping) else value
    if not isinstance(name, str):
        raise ConfigError(
            f"decoding={value!r} must be None, one of {', '.join(STRATEGIES)}, a config such as "
            "VCDConfig(...), or a dict of its fields with its 'name'."
        )
    if name not in STRATEGIES:
        raise ConfigError(
            f"No decoding strategy is called {name!r}; choose from {', '.join(STRATEGIES)}."
            + did_you_mean(name, STRATEGIES)
        )
    return STRATEGIES[name].from_dict(value if isinstance(value, Mapping) else {})
