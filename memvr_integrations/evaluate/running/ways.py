"""Ways of decoding by name, as tables and the command line call them.

MemVR and its controls, the strategies beside it with their defaults, `-plausibility` after a
contrastive one for its control, and two of them joined by "+": `memvr+vcd`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from memvr_integrations.errors import ConfigError, did_you_mean
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.types.decoding import (
    STRATEGIES,
    ContrastConfig,
    ContrastiveConfig,
    DecodingConfig,
    OPERAConfig,
    read_decoding,
)

if TYPE_CHECKING:
    from memvr_integrations.evaluate.running.asking import Strategy

PLAIN, MEMVR = "plain", "memvr"
CONTROLS = ("damping", "shuffled")
"""Of MemVR: what gains there is not sight."""

_CONTROL = "-plausibility"
_MEMVR: dict[str, Callable[[MemVRConfig], MemVRConfig]] = {
    MEMVR: lambda preset: preset,
    "damping": lambda preset: preset.changed({"control": "damping"}),
    "shuffled": lambda preset: preset.changed({"control": "shuffled"}),
}
_BESIDE = tuple(STRATEGIES)
_CONTROLS = tuple(
    name + _CONTROL for name in _BESIDE if issubclass(STRATEGIES[name], ContrastConfig)
)
_DECODED = (*_BESIDE, *_CONTROLS)
NAMES = (PLAIN, *_MEMVR, *_DECODED)
SEEDS_WHEN_SAMPLING = 3


def check(names: Sequence[str], *, student: str | None = None) -> None:
    """Refuse names that are unknown, or come twice, or can't be joined, or lack a student.

    Raises:
        ConfigError: One is so, or a student is given that none of them asks.
    """
    for name in names:
        parts = name.split("+")
        for part in parts:
            if part not in NAMES:
                raise ConfigError(
                    f"There is no strategy {part!r}; there are {', '.join(NAMES)}."
                    + did_you_mean(part, NAMES)
                )
        probing = sum(part in _MEMVR for part in parts)
        if len(parts) > 2 or (len(parts) == 2 and (probing != 1 or PLAIN in parts)):
            raise ConfigError(
                f"{name!r} can't be joined: one of {', '.join(_MEMVR)} goes with one of "
                f"{', '.join(_BESIDE)}."
            )
        if "+" in name and OPERAConfig.name in parts:
            raise ConfigError(f"{name!r} can't be joined: OPERA goes without MemVR.")
    asking = [name for name in names if ContrastiveConfig.name in name]
    if asking and not student:
        raise ConfigError(
            f"{asking[0]!r} needs a student, a smaller model with the same tokenizer; name it."
        )
    if student and not asking:
        raise ConfigError(f"student={student!r}, but none of {', '.join(names)} asks one.")
    if len(set(names)) < len(names):
        raise ConfigError(f"A strategy comes twice in {', '.join(names)}; name each once.")


def strategies(
    names: Sequence[str],
    preset: MemVRConfig,
    *,
    temperature: float = 0.0,
    student: str | None = None,
) -> list[Strategy]:
    """The named ways, "plain" first: all others are compared with it.

    `preset` is what "memvr" means, and what its controls start from; `student` is the model that
    "contrastive" sets itself off from.

    Raises:
        ConfigError: As `check` does.
    """
    from memvr_integrations.evaluate.running.asking import Strategy  # brings torch

    ordered = [PLAIN, *(name for name in names if name != PLAIN)]
    check(ordered, student=student)
    return [
        Strategy(
            name=name,
            memvr=next((_MEMVR[p](preset) for p in name.split("+") if p in _MEMVR), None),
            decoding=next((_beside(p, student) for p in name.split("+") if p in _DECODED), None),
            temperature=temperature,
        )
        for name in ordered
    ]


def one(name: str, preset: MemVRConfig, *, student: str | None = None) -> Strategy:
    """The named way alone.

    Raises:
        ConfigError: As `check` does.
    """
    return strategies([name], preset, student=student)[-1]


def uses_memvr(name: str) -> bool:
    """Whether MemVR, or a control of it, takes part in a way of this name."""
    return any(part in _MEMVR for part in name.split("+"))


def _beside(part: str, student: str | None) -> DecodingConfig | None:
    name = part.removesuffix(_CONTROL)
    settings: dict[str, object] = {"name": name}
    if part != name:
        settings["control"] = "plausibility"
    if name == ContrastiveConfig.name:
        settings["student"] = student
    return read_decoding(settings)


def seeds_for(seeds: Sequence[int], temperature: float) -> list[int]:
    """The seeds of an evaluation: one where nothing is sampled, else at least three.

    Raises:
        ConfigError: Too few were given, or one twice.
    """
    if not seeds:
        return list(range(SEEDS_WHEN_SAMPLING if temperature else 1))
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds={list(seeds)} hold one twice; its answers would count double.")
    if temperature and len(seeds) < SEEDS_WHEN_SAMPLING:
        raise ConfigError(
            f"temperature={temperature} samples answers, and seeds={list(seeds)} are too few to "
            f"set effect apart from chance; give at least {SEEDS_WHEN_SAMPLING}, or temperature=0."
        )
    return list(seeds)
