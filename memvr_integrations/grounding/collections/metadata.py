"""What an image is filtered by, as JSON holds it."""

import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from memvr_integrations.errors import ConfigError

Plain: TypeAlias = str | int | float | bool | None
Metadata: TypeAlias = Mapping[str, Plain]

_WRITTEN = (datetime.date, datetime.time, decimal.Decimal, uuid.UUID, Path)


def plain_metadata(given: object, place: str) -> Metadata:
    """What someone says of an image: numbers of numpy become Python's, dates become text."""
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"The metadata of {place} is a {type(given).__name__}; give a dict, {{}} for none."
        )
    return {
        str(key): _plain(value, f"metadata[{key!r}] of {place}") for key, value in given.items()
    }


def plain_cell(value: object) -> Plain:
    """A table's value, as text where JSON has nothing like it."""
    try:
        return _plain(value, "")
    except ConfigError:
        return str(value)


def _plain(value: object, name: str) -> Plain:
    value = value.value if isinstance(value, enum.Enum) else value
    value = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
    if type(value).__name__ in ("NaTType", "NAType"):  # what pandas has for nothing
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, _WRITTEN):
        return str(value)
    return _nested(value, name)


def _nested(value: object, name: str) -> Plain:
    inner: object
    if isinstance(value, list | tuple):
        inner = [_plain(one, name) for one in value]
    elif isinstance(value, Mapping):
        inner = {str(key): _plain(one, f"{name}[{key!r}]") for key, one in value.items()}
    else:
        raise ConfigError(
            f"{name} is a {type(value).__name__}; give texts, numbers, booleans, dates or None."
        )
    return inner  # type: ignore[return-value]  # stores that filter by lists take them too
