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

_SHOWN = 20  # of the sentences on what was wrong
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Found:
    """Figures by what they are, and everything that was wrong, each in a sentence.

    `of` says which of several it was, where a soak has several that are kept side by side;
    `seconds` how long it took, where that is not the time of this process.
    """

    figures: dict[str, int | float | str]
    wrong: tuple[str, ...] = ()
    of: str = ""
    seconds: float | None = None


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
        shown = [f"- {sentence}" for sentence in self.wrong[:_SHOWN]]
        if len(self.wrong) > _SHOWN:
            shown.append(f"- and {len(self.wrong) - _SHOWN} more")
        found = "\n".join(shown) or "Nothing was wrong."
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
    seconds = time.monotonic() - begun if found.seconds is None else found.seconds
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return Outcome(
        name=f"{name}-{found.of}" if found.of else name,
        about=about,
        command=command,
        figures=found.figures,
        wrong=found.wrong,
        date=datetime.date.today().isoformat(),
        machine=f"{cores}, Python {platform.python_version()}, torch {torch.__version__}",
        seconds=round(seconds, 1),
    )


def load(file: Path) -> Outcome:
    """Read what `save` wrote."""
    fields = json.loads(file.read_text())
    return Outcome(**(fields | {"wrong": tuple(fields["wrong"])}))
