"""The one home of limits: each check names the setting, its value and what it may be."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from types import UnionType

from memvr_integrations.errors import ConfigError, RequestError, did_you_mean

_LISTED = 12  # a longer list of options is read by nobody


def check_options(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse options that nobody knows.

    Raises:
        ConfigError: There is one; the message says what may have been meant.
    """
    known = list(known)
    for name in given:
        if name not in known:
            choice = f" Choose from {', '.join(known)}." if len(known) <= _LISTED else ""
            hint = did_you_mean(name, known) or choice
            raise ConfigError(f"{owner} has no option {name!r}.{hint}")


def check_fields(kind: type, given: Iterable[str]) -> None:
    """Refuse what is no field of a dataclass, as `check_options` does."""
    check_options(kind.__name__, given, (field.name for field in dataclasses.fields(kind)))


def check_integer(name: str, value: object, *, least: int, most: float = math.inf) -> None:
    """Refuse anything but a whole number within limits."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole and isinstance(value, int) and least <= value <= most):
        limits = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ConfigError(f"{name}={value!r} must be an integer {limits}.")


def check_number(
    name: str, value: object, *, most: float, least: float = 0, above: bool = False
) -> None:
    """Refuse anything but a finite number within limits; `above` leaves out `least` itself."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    inside = number and isinstance(value, int | float) and least <= value <= most
    if not inside or value in (math.inf, -math.inf) or (above and value == least):
        if above:
            limits = f"above {least:g}" + ("" if most == math.inf else f" and at most {most:g}")
        else:
            limits = f"of {least:g} or more" if most == math.inf else f"from {least:g} to {most:g}"
        raise ConfigError(f"{name}={value!r} must be a finite number {limits}.")


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Refuse what is none of some values."""
    choices = list(choices)
    # 1 == True, so the type is compared as well.
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise ConfigError(f"{name}={value!r} must be one of {choices}.")


def check_text(name: str, value: object, hint: str = "") -> None:
    """Refuse anything but a text that is not blank; `hint` is what to give."""
    if not isinstance(value, str) or not value.strip():
        given = f"; give {hint}" if hint else ""
        raise ConfigError(f"{name}={value!r} must be a text that is not empty{given}.")


def check_kind(name: str, value: object, kind: type | UnionType, hint: str) -> None:
    """Refuse an object of another class; `hint` is what to give."""
    if not isinstance(value, kind):
        plain = isinstance(value, str | int | float | None)
        shown = repr(value) if plain else type(value).__name__
        raise ConfigError(f"{name}={shown} can't be used; give {hint}.")


def check_list(name: str, value: object, hint: str) -> Sequence[object]:
    """The items of a list that a request holds; a text, bytes or a dict are none.

    Raises:
        RequestError: It is no list; `hint` is what to give.
    """
    if isinstance(value, str | bytes | bytearray | memoryview) or not isinstance(value, Sequence):
        raise RequestError(f"{name}={repr(value)[:200]} is no list; give {hint}.")
    return value
