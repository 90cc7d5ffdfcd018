"""What a check found, and how checks are carried out."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from memvr_integrations.errors import MemVRError

Outcome: TypeAlias = Literal["ok", "failed", "not applicable"]

REPORT = "report it with what `memvr doctor MODEL --json` prints"
_LONGEST = 600  # characters of an error


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found, in a sentence with figures; `advice` is what to do where it failed."""

    check: str = ""
    outcome: Outcome
    seconds: float = 0.0
    says: str
    advice: str | None = None


def ok(says: str) -> Finding:
    """All is as it should be."""
    return Finding(outcome="ok", says=says)


def failed(says: str, advice: str) -> Finding:
    """Something is wrong; `advice` is what to do."""
    return Finding(outcome="failed", says=says, advice=advice)


def not_applicable(says: str) -> Finding:
    """There is nothing to check, for a reason."""
    return Finding(outcome="not applicable", says=says)


def carried_out(name: str, check: Callable[[], Finding]) -> Finding:
    """A check's finding with its name and time; an error of any kind is a finding as well."""
    started = time.perf_counter()
    try:
        found = check()
    except MemVRError as error:
        found = failed(str(error), f"do what it says; where that is done, {REPORT}")
    except Exception as error:
        found = failed(f"{type(error).__name__}: {error}", REPORT)
    seconds = time.perf_counter() - started
    advice = None if found.advice is None else shown(found.advice)
    return replace(found, check=name, seconds=seconds, says=shown(found.says), advice=advice)


def shown(text: str) -> str:
    """A text in one line, without the home directory's name: it goes into bug reports."""
    line, home = " ".join(text.split()), os.path.expanduser("~")
    if len(home) > 1:  # "/" is nobody's, and "~" stands where nothing says which one it is
        line = re.sub(rf"(?<![\w.-]){re.escape(home)}(?![\w.-])", "~", line)
    return line[:_LONGEST]
