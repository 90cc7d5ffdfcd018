"""What a soak found: a row of `docs/reliability.md`, kept as a file beside the soaks."""

import datetime
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Found:
    """Figures by what they are, and everything that was wrong, each in a sentence."""

    figures: dict[str, int | float | str]
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A soak's run: the command that anyone can run again, when, where, and what came of it."""

    name: str
    about: str
    command: str
    figures: dict[str, int | float | str]
    wrong: tuple[str, ...]
    date: str
    machine: str
    seconds: float

    def table(self) -> str:
        """The figures as a Markdown table, what was wrong after it."""
        rows = "\n".join(f"| {what} | {value} |" for what, value in self.figures.items())
        found = "\n".join(f"- {sentence}" for sentence in self.wrong) or "Nothing was wrong."
        return f"| | |\n|---|---|\n{rows}\n\n{found}\n"

    def save(self, folder: Path = RESULTS) -> Path:
        """Write it where the page reads it."""
        file = folder / f"{self.name}.json"
        file.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")
        return file


def outcome_of(name: str, about: str, command: str, run: Callable[[], Found]) -> Outcome:
    """Run a soak and say when and where that was."""
    begun = time.monotonic()
    found = run()
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return Outcome(
        name=name,
        about=about,
        command=command,
        figures=found.figures,
        wrong=found.wrong,
        date=datetime.date.today().isoformat(),
        machine=f"{cores}, Python {platform.python_version()}, torch {torch.__version__}",
        seconds=round(time.monotonic() - begun, 1),
    )


def load(file: Path) -> Outcome:
    """Read what `save` wrote."""
    fields = json.loads(file.read_text())
    return Outcome(**(fields | {"wrong": tuple(fields["wrong"])}))
