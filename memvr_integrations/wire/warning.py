"""Warnings that point to the line of whoever called this package."""

import sys
import warnings

from memvr_integrations.errors import MemVRWarning

_BETWEEN = (
    *("memvr_integrations", "llama_index", "llama_index_instrumentation"),
    *("langchain_core", "asyncio", "wrapt"),
)


def warn(message: str) -> None:
    """A MemVRWarning; core's wrappers and event loops may lie between the caller and us."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, MemVRWarning, stacklevel=level)
