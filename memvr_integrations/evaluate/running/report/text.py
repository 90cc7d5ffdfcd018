"""The tables of an evaluation for a terminal and for a page in Markdown."""

from collections.abc import Iterator, Sequence

from memvr_integrations.evaluate.running.report.line import (
    Line,
    costs,
    estimate,
    figure_names,
    rows,
)
from memvr_integrations.evaluate.running.report.meaning import headline, is_sure
from memvr_integrations.evaluate.running.report.verdict import WARNINGS, verdict

_ABREAST = 2  # strategies beside the first that a terminal has room for


def as_text(lines: Sequence[Line], about: str) -> str:
    """A verdict, the first figures in columns, a few strategies at a time, what not to conclude."""
    names = [name for name in figure_names(lines) if headline(name)]
    first, *others = lines
    blocks = [others[at : at + _ABREAST] for at in range(0, len(others), _ABREAST)] or [[]]
    tables = ["\n".join(_columns(list(rows([first, *block], names)))) for block in blocks]
    warned = "\n".join(f"- {warning}" for warning in WARNINGS)
    return "\n\n".join([about, "\n".join(map(str, verdict(lines))), *tables, warned])


def as_markdown(lines: Sequence[Line]) -> str:
    """A row a strategy: each of the first figures, and its difference where there is one.

    Differences whose interval leaves out zero are bold.
    """
    every = figure_names(lines)
    names = [name for name in every if headline(name) and not name.endswith("/F1")]
    paid = costs(lines)
    heads = [name.replace("/official", "") for name in names]
    out = [f"| | {' | '.join([*heads, *paid])} |", "|---" * (1 + len(names) + len(paid)) + "|"]
    for at, line in enumerate(lines):
        cells = [_with_change(line, name) for name in names]
        cells += [values[at] for values in paid.values()]
        out.append(f"| {line.strategy} | {' | '.join(cells)} |")
    return "\n".join(out)


def _with_change(line: Line, name: str) -> str:
    changed = line.changes.get(name)
    if changed is None:
        return estimate(line, name)
    shown = f"**{changed.signed()}**" if is_sure(changed) else changed.signed()
    return f"{line.figures[name].value:.1f}<br>{shown}"


def _columns(table: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        first, *others = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        yield "  ".join([cells[0].ljust(len(first)), *others]).rstrip()
