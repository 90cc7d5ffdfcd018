"""Figures as bars with their intervals, each on a scale of its own kind."""

import html
from collections.abc import Sequence

from memvr_integrations.evaluate.running.report.line import Line
from memvr_integrations.evaluate.running.report.meaning import better, gain, is_sure, unit
from memvr_integrations.evaluate.running.statistics import Estimate

_WIDTH, _HEIGHT = 260, 16


def charts(names: Sequence[str], lines: Sequence[Line]) -> str:
    """A table for each figure: a bar a strategy, its value, and its difference to the first."""
    return "".join(_chart(name, lines) for name in names)


def arrow(name: str) -> str:
    """Which way a figure is better, as a sign that screen readers read in words."""
    way = better(name)
    if way is None:
        return ""
    sign = "↑" if way == "higher" else "↓"
    return (
        f'&nbsp;<span title="{way} is better"><span aria-hidden="true">{sign}</span>'
        f'<span class="unseen">({way} is better)</span></span>'
    )


def breaking(name: str) -> str:
    """A figure's name, which may go on in another line after each part of its path."""
    return html.escape(name).replace("/", "/<wbr>")


def difference(name: str, change: Estimate | None) -> str:
    """A cell with a difference to the first strategy, marked where one is shown.

    A sign and a word say whether it is for the better; colour only repeats them.
    """
    if change is None:
        return "<td></td>"
    if not is_sure(change):
        return f"<td>{change.signed()}</td>"
    gained = gain(name, change)
    kind, mark = {True: ("good", "▲ better"), False: ("bad", "▼ worse"), None: ("", "≠ changed")}[
        gained
    ]
    return f'<td class="sure">{change.signed()} <span class="{kind}">{mark}</span></td>'


def _chart(name: str, lines: Sequence[Line]) -> str:
    shown = [line for line in lines if name in line.figures]
    top = _top(name, [line.figures[name] for line in shown])
    ends = f"0 to {top:.4g}{_of(name)}"
    way = better(name)
    about = f"{way} is better; bars from {ends}" if way else f"bars from {ends}"
    bars = "".join(
        f'<tr><th scope="row"><bdi>{html.escape(line.strategy)}</bdi></th>'
        f"<td>{_bar(line.figures[name], top)}</td><td>{line.figures[name]}</td>"
        f"{difference(name, line.changes.get(name))}</tr>"
        for line in shown
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{html.escape(name)}"><table>'
        f'<caption>{html.escape(name)} <span class="note">({html.escape(about)})</span></caption>'
        f"<tbody>{bars}</tbody></table></div>\n"
    )


def _top(name: str, figures: Sequence[Estimate]) -> float:
    """Where a scale ends: shares at 100, all else at the highest value that is shown."""
    if unit(name) == "%":
        return 100.0
    return max([one.high for one in figures if one.high > 0] or [1.0])


def _of(name: str) -> str:
    counted = unit(name)
    return "" if counted is None else " %" if counted == "%" else f" {counted}"


def _bar(one: Estimate, top: float) -> str:
    start, end, at = (
        _WIDTH * min(max(0.0, value), top) / top for value in (one.low, one.high, one.value)
    )
    middle = _HEIGHT / 2
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{one}">'
        f'<rect class="ground" width="{_WIDTH}" height="{_HEIGHT}"/>'
        f'<rect class="bar" width="{at:.1f}" height="{_HEIGHT}"/>'
        f'<line class="interval" x1="{start:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}"/>'
        "</svg>"
    )
