"""What an evaluation found, as a table for the terminal and as a page that needs no network."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from memvr_integrations.evaluate.benchmarks.scoring.yes_no import OFFICIAL, PARSERS
from memvr_integrations.evaluate.running.statistics import Estimate

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
svg { vertical-align: middle; }
.wide { overflow-x: auto; }
td { white-space: nowrap; }
.sure { font-weight: 600; }
.note { color: #555; }
"""
_WIDTH, _HEIGHT = 260, 16
_ABREAST = 2  # strategies beside the first that a terminal has room for

WARNINGS = (
    "An interval that holds zero is no proof of no effect, and no proof of one.",
    "Intervals resample the images of this run. Other images, prompts, models and settings may "
    "give other results.",
    "Each figure is compared by itself. Of twenty comparisons without any effect, one falls "
    "outside its 95 % interval.",
    "A gain in accuracy with a shifted yes-ratio may be a shift alone: compare the yes-ratio, and "
    "the controls.",
    "Published figures of other papers come from other prompts, parsers and sampling; only "
    "differences within this table compare.",
    "Times are shares of batches that ran in turns; other programs on the machine widen them.",
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One strategy's results; `changes` are paired differences to the first strategy.

    `p` is that of McNemar's test of right against wrong answers, None where none is right or
    wrong. `length` is in tokens an answer, `retraced` the share of tokens, `peak_bytes` the
    device's memory where it can be known.
    """

    strategy: str
    figures: Mapping[str, Estimate]
    changes: Mapping[str, Estimate] = field(default_factory=dict)
    p: float | None = None
    answered: int = 0
    failed: int = 0
    length: float = 0.0
    retraced: float = 0.0
    tokens_per_second: float = 0.0
    peak_bytes: int | None = None


def rows(lines: Sequence[Line], names: Sequence[str]) -> Iterator[list[str]]:
    """A table's cells for the named figures, the heads first; then what the answers cost."""
    first, *others = lines
    heads = ["", first.strategy]
    for line in others:
        heads += [line.strategy, f"{line.strategy} - {first.strategy}"]
    yield heads
    for name in names:
        cells = [name, _estimate(first, name)]
        for line in others:
            changed = line.changes.get(name)
            cells += [_estimate(line, name), changed.signed() if changed else ""]
        yield cells
    for name, costs in _costs(lines).items():
        cells = [name, costs[0]]
        for cost in costs[1:]:
            cells += [cost, ""]
        yield cells


def figure_names(lines: Sequence[Line]) -> list[str]:
    """All figures that some strategy has: one that never says yes has no precision."""
    return list(dict.fromkeys(name for line in lines for name in line.figures))


def _estimate(line: Line, name: str) -> str:
    return str(line.figures[name]) if name in line.figures else ""


def _costs(lines: Sequence[Line]) -> dict[str, list[str]]:
    """What answers are like and what they cost, by strategy."""
    costs = {
        "McNemar's p": ["" if line.p is None else _chance(line.p) for line in lines],
        "tokens an answer": [f"{line.length:.1f}" for line in lines],
        "tokens that retraced": [f"{line.retraced:.1%}" for line in lines],
        "tokens a second": [f"{line.tokens_per_second:.1f}" for line in lines],
        "peak memory, GB": [
            f"{line.peak_bytes / 1e9:.2f}" if line.peak_bytes else "" for line in lines
        ],
        "questions that failed": [str(line.failed) if line.failed else "" for line in lines],
    }
    return {name: cells for name, cells in costs.items() if any(cells)}


def headline(name: str) -> bool:
    """Whether a figure is shown first: of yes/no questions some, as the official parser reads."""
    *path, last = name.split("/")
    if OFFICIAL in path:
        return last in ("accuracy", "F1", "yes ratio")
    return not any(parser in path for parser in PARSERS)


def _chance(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def as_text(lines: Sequence[Line], about: str) -> str:
    """The first figures in columns, a few strategies at a time, and what not to conclude."""
    names = [name for name in figure_names(lines) if headline(name)]
    first, *others = lines
    blocks = [others[at : at + _ABREAST] for at in range(0, len(others), _ABREAST)] or [[]]
    tables = ["\n".join(_columns(list(rows([first, *block], names)))) for block in blocks]
    warned = "\n".join(f"- {warning}" for warning in WARNINGS)
    return "\n\n".join([about, *tables, warned])


def as_markdown(lines: Sequence[Line]) -> str:
    """A row a strategy: each of the first figures, and its difference where there is one.

    Differences whose interval leaves out zero are bold.
    """
    every = figure_names(lines)
    names = [name for name in every if headline(name) and not name.endswith("/F1")]
    costs = _costs(lines)
    heads = [name.replace("/official", "") for name in names]
    out = [f"| | {' | '.join([*heads, *costs])} |", "|---" * (1 + len(names) + len(costs)) + "|"]
    for at, line in enumerate(lines):
        cells = [_with_change(line, name) for name in names]
        cells += [values[at] for values in costs.values()]
        out.append(f"| {line.strategy} | {' | '.join(cells)} |")
    return "\n".join(out)


def _with_change(line: Line, name: str) -> str:
    changed = line.changes.get(name)
    if changed is None:
        return _estimate(line, name)
    shown = f"**{changed.signed()}**" if is_sure(changed) else changed.signed()
    return f"{line.figures[name].value:.1f}<br>{shown}"


def is_sure(change: Estimate) -> bool:
    """Whether a difference's interval leaves out zero."""
    return change.low > 0 or change.high < 0


def _columns(table: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        first, *others = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        yield "  ".join([cells[0].ljust(len(first)), *others]).rstrip()


def as_html(lines: Sequence[Line], title: str, about: str) -> str:
    """A page of its own: tables, and a bar with its interval for every figure."""
    every = figure_names(lines)
    names = [name for name in every if headline(name)]
    others = [name for name in every if not headline(name)]
    folded = (
        f"<details><summary>{len(others)} more figures</summary>{_charts(others, lines)}</details>"
    )
    warned = "".join(f"<li>{html.escape(warning)}</li>" for warning in WARNINGS)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}"
        f"</title><style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f'<p class="note">{html.escape(about)}</p>{_table(lines, names)}'
        f"{_charts(names, lines)}{folded if others else ''}"
        f"<h2>What this does not say</h2><ul>{warned}</ul></body></html>\n"
    )


def _table(lines: Sequence[Line], names: Sequence[str]) -> str:
    head, *body = rows(lines, names)
    cells = [_row("th", head), *(_row("td", cells) for cells in body)]
    return f'<div class="wide"><table>{"".join(cells)}</table></div>'


def _charts(names: Sequence[str], lines: Sequence[Line]) -> str:
    return "".join(_chart(name, lines) for name in names)


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _chart(name: str, lines: Sequence[Line]) -> str:
    shown = [line for line in lines if name in line.figures]
    top = max(100.0, *(line.figures[name].high for line in shown))
    bars = []
    for line in shown:
        one = line.figures[name]
        start, end, at = (_WIDTH * max(0.0, x) / top for x in (one.low, one.high, one.value))
        middle = _HEIGHT / 2
        picture = (
            f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" '
            f'aria-label="{html.escape(str(one))}">'
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#eee"/>'
            f'<rect width="{at:.1f}" height="{_HEIGHT}" fill="#4a7ab5"/>'
            f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}" '
            'stroke="#111" stroke-width="2"/></svg>'
        )
        sure = line.changes.get(name)
        mark = ' class="sure"' if sure and is_sure(sure) else ""
        changed = sure.signed() if sure else ""
        bars.append(
            f"<tr><td>{html.escape(line.strategy)}</td><td>{picture}</td><td>{one}</td>"
            f"<td{mark}>{changed}</td></tr>"
        )
    rows_of_bars = "".join(bars)
    return (
        f'<div class="wide"><table><caption>{html.escape(name)}</caption>{rows_of_bars}'
        "</table></div>"
    )
