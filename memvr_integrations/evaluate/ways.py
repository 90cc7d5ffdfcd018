"""Ways of decoding by name, as tables and the command line call them."""

from collections.abc import Callable, Sequence

from memvr_integrations.errors import ConfigError, did_you_mean
from memvr_integrations.evaluate.asking import Strategy
from memvr_integrations.memvr import MemVRConfig

PLAIN = "plain"
_WAYS: dict[str, Callable[[MemVRConfig], MemVRConfig | None]] = {
    PLAIN: lambda preset: None,
    "memvr": lambda preset: preset,
    "damping": lambda preset: preset.changed({"control": "damping"}),
}
NAMES = tuple(_WAYS)
SEEDS_WHEN_SAMPLING = 3


def strategies(
    names: Sequence[str], preset: MemVRConfig, *, temperature: float = 0.0
) -> list[Strategy]:
    """The named ways, "plain" first: all others are compared with it.

    `preset` is what "memvr" means, and what its controls start from.

    Raises:
        ConfigError: A name is unknown or comes twice.
    """
    ordered = [PLAIN, *(name for name in names if name != PLAIN)]
    for name in ordered:
        if name not in _WAYS:
            raise ConfigError(
                f"There is no strategy {name!r}; there are {', '.join(NAMES)}."
                + did_you_mean(name, NAMES)
            )
    if len(set(ordered)) < len(ordered):
        raise ConfigError(f"A strategy comes twice in {', '.join(ordered)}; name each once.")
    return [
        Strategy(name=name, memvr=_WAYS[name](preset), temperature=temperature) for name in ordered
    ]


def seeds_for(seeds: Sequence[int], temperature: float) -> list[int]:
    """The seeds of an evaluation: one where nothing is drawn, else at least three.

    Raises:
        ConfigError: Too few were given, or one twice.
    """
    if not seeds:
        return list(range(SEEDS_WHEN_SAMPLING if temperature else 1))
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds={list(seeds)} hold one twice; its answers would count double.")
    if temperature and len(seeds) < SEEDS_WHEN_SAMPLING:
        raise ConfigError(
            f"temperature={temperature} draws answers, and seeds={list(seeds)} are too few to "
            f"tell chance from effect; give at least {SEEDS_WHEN_SAMPLING}, or temperature=0."
        )
    return list(seeds)
