"""The report for a browser: a verdict, tables, bars with intervals, a way to the questions."""

import html
from collections.abc import Sequence

from memvr_integrations.evaluate.running.report.charts import arrow, breaking, charts, difference
from memvr_integrations.evaluate.running.report.frame import framed
from memvr_integrations.evaluate.running.report.line import (
    Line,
    costs,
    estimate,
    figure_names,
)
from memvr_integrations.evaluate.running.report.meaning import headline
from memvr_integrations.evaluate.running.report.verdict import WARNINGS, Finding, verdict

_LEGEND = (
    "↑ higher is better, ↓ lower is better, no arrow: neither. ▲ better, ▼ worse and ≠ changed "
    "mark differences whose interval leaves out zero; where nothing is marked, none is shown "
    "beyond chance."
)


def as_html(lines: Sequence[Line], title: str, about: str, *, questions: str = "") -> str:
    """A page of its own; `questions` is HTML that leads to the questions, where there are pages."""
    every = figure_names(lines)
    names = [name for name in every if headline(name)]
    others = [name for name in every if not headline(name)]
    folded = (
        f"<details><summary>{len(others)} more figures</summary>{charts(others, lines)}</details>"
    )
    body = (
        f"<h1>{html.escape(title)}</h1>\n"
        f'<ul class="verdict">{_findings(verdict(lines))}</ul>\n'
        f'<p class="note">{html.escape(about)}</p>\n{questions}'
        f'<h2>Side by side</h2>\n<p class="note">{_LEGEND}</p>\n{_table(lines, names)}'
        f"<h2>Each figure</h2>\n{charts(names, lines)}{folded if others else ''}"
        f"<h2>What this does not say</h2><ul>{_items(WARNINGS)}</ul>"
    )
    return framed(title, body)


def _findings(found: Sequence[Finding]) -> str:
    return "".join(
        f"<li><b>{html.escape(one.about)}</b><ul>{_items(one.parts)}</ul></li>" for one in found
    )


def _items(sentences: Sequence[str]) -> str:
    return "".join(f"<li>{html.escape(one)}</li>" for one in sentences)


def _table(lines: Sequence[Line], names: Sequence[str]) -> str:
    first, *others = lines
    heads = ["", first.strategy]
    for line in others:
        heads += [line.strategy, f"{line.strategy} - {first.strategy}"]
    head = "".join(f'<th scope="col"><bdi>{html.escape(one)}</bdi></th>' for one in heads)
    body = [_figures(name, first, others) for name in names]
    for name, (cost, *more) in costs(lines).items():
        cells = "".join(f"<td>{html.escape(one)}</td><td></td>" for one in more)
        body.append(f"<tr>{_name(name)}<td>{html.escape(cost)}</td>{cells}</tr>")
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="All strategies side by side">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>\n"
    )


def _figures(name: str, first: Line, others: Sequence[Line]) -> str:
    cells = "".join(
        f"<td>{estimate(line, name)}</td>{difference(name, line.changes.get(name))}"
        for line in others
    )
    return f"<tr>{_name(name)}<td>{estimate(first, name)}</td>{cells}</tr>"


def _name(name: str) -> str:
    return f'<th scope="row">{breaking(name)}{arrow(name)}</th>'
