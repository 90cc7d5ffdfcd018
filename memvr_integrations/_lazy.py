"""Lazy imports for the `__init__` of a package: torch comes in with a model, not before."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package: it imports a name's module when the name is first asked for.

    `homes` are the modules by name, as paths below the package; `dir()` lists the names, too. A
    type checker sees nothing of it, so the package imports the same names under `TYPE_CHECKING`.
    """
    module = sys.modules[package]

    def __getattr__(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(module, name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(module), *homes})

    setattr(module, "__dir__", __dir__)  # noqa: B010  # no attribute that a type checker knows
    return __getattr__
