"""From a published checkpoint's parameters to ours: which becomes which, and how it is cut."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

Settings: TypeAlias = Mapping[str, object]
Cut: TypeAlias = Callable[[Tensor, Settings], Sequence[Tensor]]


def number(settings: Settings, name: str) -> int:
    """A size in a config.json, a whole number above 0.

    Raises:
        KeyError: It is not there.
        TypeError: It is something else.
    """
    value = settings[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise TypeError(f"{name} is {value!r}, not a whole number above 0")
    return value


def part(settings: Settings, name: str) -> Settings:
    """The object of that name in a config.json.

    Raises:
        KeyError: It is not there.
        TypeError: It is something else.
    """
    value = settings[name]
    if not isinstance(value, dict):
        raise TypeError(f"{name} is {value!r}, not an object")
    return value


def expect(settings: Settings, **values: object) -> None:
    """Refuse settings that are there and say something else: what is ported has these.

    Raises:
        ValueError: One does.
    """
    for name, value in values.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name} is {settings[name]!r}; {value!r} alone is ported")


def divide(settings: Settings, whole: str, parts: str) -> None:
    """Refuse a size that does not come in so many equal parts.

    Raises:
        ValueError: It does not.
    """
    if number(settings, parts) < 1 or number(settings, whole) % number(settings, parts):
        raise ValueError(
            f"{whole}={settings[whole]} can't be cut into {parts}={settings[parts]} equal parts"
        )


def whole(tensor: Tensor, settings: Settings) -> Sequence[Tensor]:
    """Leave a parameter as it is."""
    return [tensor]


def thirds(tensor: Tensor, settings: Settings) -> Sequence[Tensor]:
    """Cut fused queries, keys and values of one size."""
    return tensor.chunk(3)


def turned(tensor: Tensor, settings: Settings) -> Sequence[Tensor]:
    """Turn a matrix that is multiplied from the right into a linear layer's."""
    return [tensor.T]


@dataclass(frozen=True)
class Rule:
    """Parameters that match `pattern` become `targets`, in which {0} is the pattern's group."""

    pattern: str
    targets: tuple[str, ...]
    cut: Cut = whole


class KeyMap:
    """The rules of one family; a name that no rule matches is a foreign one."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(re.compile(rule.pattern), rule) for rule in rules]

    def targets(self, name: str) -> tuple[str, ...] | None:
        """Our names for a published parameter: none if it is not needed, None if it is unknown."""
        for pattern, rule in self._rules:
            if match := pattern.fullmatch(name):
                return tuple(target.format(*match.groups()) for target in rule.targets)
        return None

    def convert(self, name: str, tensor: Tensor, settings: Settings) -> dict[str, Tensor]:
        """Our parameters from a published one; `settings` are those of its config.json."""
        for pattern, rule in self._rules:
            if match := pattern.fullmatch(name):
                names = [target.format(*match.groups()) for target in rule.targets]
                pieces = rule.cut(tensor, settings) if names else []
                return dict(zip(names, pieces, strict=True))
        raise KeyError(name)


def qkv(owner: str) -> list[str]:
    """Our names for the three layers into which fused queries, keys and values are cut."""
    return [f"{owner}.{name}_proj" for name in "qkv"]


def both(pattern: str, *targets: str, cut: Cut = whole, mark: str = r"\.") -> list[Rule]:
    """The rules of a layer's weight and its bias, cut into one layer or several."""
    return [
        Rule(pattern + mark + part, tuple(f"{target}.{part}" for target in targets), cut)
        for part in ("weight", "bias")
    ]
