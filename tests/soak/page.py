"""Writes `docs/reliability.md`: what was kept of each soak, and what broke on the way."""

from pathlib import Path

from outcome import RESULTS, load

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
HEAD = Path(__file__).parent / "reliability-head.md"
BROKE = Path(__file__).parent / "reliability-broke.md"


def page() -> str:
    """The whole page: its head, a section for each soak in order of name, and what broke."""
    sections = []
    for file in sorted(RESULTS.glob("*.json")):
        kept = load(file)
        sections.append(
            f"## {kept.name}\n\n{kept.about}\n\n{kept.table()}\n"
            f"`{kept.command}`: {kept.date}, {kept.machine}, {kept.seconds:,.0f} s.\n"
        )
    return "\n".join([HEAD.read_text(), *sections, BROKE.read_text()])


def write() -> None:
    """Write the page anew."""
    PAGE.write_text(page())
