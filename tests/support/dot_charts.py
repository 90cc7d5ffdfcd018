"""Draws dots with their intervals as SVG, in light and dark colours, for the documentation."""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

# Okabe and Ito's colours, apart for any colour vision; a lighter set on dark ground.
_LIGHT = ("#0072b2", "#d55e00", "#007a5a", "#8a6d00", "#a04a80")
_DARK = ("#56b4e9", "#ff9f40", "#2fc79b", "#f0e442", "#e08fc0")
_SHAPES = ("circle", "diamond", "square", "triangle", "cross")
_NAMES, _GAP, _EDGE = 250, 24, 14
_WIDTH = 760


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A figure, its 95 % interval if it has one, and on which side its value is written."""

    value: float
    low: float | None = None
    high: float | None = None
    said: Literal["left", "right"] | None = None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A scale with a dot for each row and series; `line` is drawn through all rows."""

    title: str
    low: float
    high: float
    rows: Sequence[Mapping[str, Dot]]
    line: float | None = None
    joined: bool = False


def dot_chart(title: str, names: Sequence[str], panels: Sequence[Panel]) -> str:
    """An SVG: a row a name, panels side by side, and a legend where there are several series.

    A name that ends with a colon heads the rows after it.
    """
    series = list(dict.fromkeys(name for panel in panels for row in panel.rows for name in row))
    top = 30 + 20 * (len(series) > 1) + 22 * any(panel.title for panel in panels)
    room = 22 if len(series) < 3 else 6 * len(series) + 8
    height = top + room * len(names) + 28
    width = (_WIDTH - _NAMES - _GAP * len(panels) - _EDGE) / len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(title)}" font-family="sans-serif" font-size="13">',
        f"<style>{_style()}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}" rx="6"/>',
        f'<text x="{_EDGE}" y="22" font-weight="bold">{html.escape(title)}</text>',
    ]
    if len(series) > 1:
        parts += _legend(series)
    middles = [top + room * (number + 0.5) for number in range(len(names))]
    for name, middle in zip(names, middles, strict=True):
        place = f'x="{_EDGE}" font-weight="bold"'
        if not name.endswith(":"):
            place = f'x="{_NAMES - 6}" text-anchor="end"'
        parts.append(f'<text {place} y="{middle + 4:.1f}">{html.escape(name.rstrip(":"))}</text>')
    for number, panel in enumerate(panels):
        left = _NAMES + number * (width + _GAP) + _GAP / 2
        parts += _panel(panel, series, left, width, top, middles)
    return "\n".join([*parts, "</svg>", ""])


def _style() -> str:
    def colours(chosen: Sequence[str]) -> str:
        return "".join(f".s{n}{{fill:{one}}}.l{n}{{stroke:{one}}}" for n, one in enumerate(chosen))

    return (
        "text{fill:#222}.ground{fill:#fff}.grid{stroke:#ddd}.line{stroke:#777}.join{stroke:#999}"
        f"{colours(_LIGHT)}@media(prefers-color-scheme:dark){{text{{fill:#e6e6e6}}"
        ".ground{fill:#1d1f27}.grid{stroke:#3a3d49}.line{stroke:#aaa}.join{stroke:#888}"
        f"{colours(_DARK)}}}"
    )


def _legend(series: Sequence[str]) -> Iterator[str]:
    x = float(_EDGE)
    for number, name in enumerate(series):
        yield _shape(number, x + 5, 40)
        yield f'<text x="{x + 16:.1f}" y="44">{html.escape(name)}</text>'
        x += 34 + 7.2 * len(name)


def _shape(number: int, x: float, y: float) -> str:
    kind = _SHAPES[number % len(_SHAPES)]
    path = {
        "diamond": "M0-6L6 0 0 6-6 0Z",
        "square": "M-4.5-4.5h9v9h-9Z",
        "triangle": "M0-5.5L5.5 4.5h-11Z",
        "cross": "M-5-2h3v-3h4v3h3v4h-3v3h-4v-3h-3Z",
    }
    place = f'class="s{number}" transform="translate({x:.1f} {y:.1f})"'
    return f"<circle {place} r='5'/>" if kind == "circle" else f'<path {place} d="{path[kind]}"/>'


def _panel(
    panel: Panel,
    series: Sequence[str],
    left: float,
    width: float,
    top: float,
    middles: Sequence[float],
) -> Iterator[str]:
    def x(value: float) -> float:
        share = (value - panel.low) / (panel.high - panel.low)
        return left + width * min(max(share, 0.0), 1.0)

    end = middles[-1] + middles[0] - top
    yield f'<text x="{left:.1f}" y="{top - 8}" font-weight="bold">{html.escape(panel.title)}</text>'
    for tick in _ticks(panel.low, panel.high):
        yield (
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{end:.1f}"/>'
            f'<text x="{x(tick):.1f}" y="{end + 16:.1f}" text-anchor="middle" font-size="11">'
            f"{tick:g}</text>"
        )
    if panel.line is not None:
        at = x(panel.line)
        yield f'<line class="line" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{end:.1f}"/>'
    for row, middle in zip(panel.rows, middles, strict=True):
        if panel.joined and len(row) > 1:
            ends = [x(dot.value) for dot in row.values()]
            yield (
                f'<line class="join" stroke-width="2" x1="{min(ends):.1f}" x2="{max(ends):.1f}" '
                f'y1="{middle:.1f}" y2="{middle:.1f}"/>'
            )
        for name, dot in row.items():
            kind = series.index(name)
            apart = 0 if panel.joined or len(row) == 1 else 6
            yield from _dot(dot, kind, x, middle + apart * (kind - (len(series) - 1) / 2))


def _dot(dot: Dot, kind: int, x: Callable[[float], float], y: float) -> Iterator[str]:
    low, high = (dot.value if end is None else end for end in (dot.low, dot.high))
    if low < high:
        yield (
            f'<line class="l{kind}" stroke-width="2" x1="{x(low):.1f}" x2="{x(high):.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
    yield _shape(kind, x(dot.value), y)
    if dot.said is not None:
        at, anchor = (x(low) - 9, "end") if dot.said == "left" else (x(high) + 9, "start")
        yield (
            f'<text x="{at:.1f}" y="{y + 4:.1f}" font-size="12" text-anchor="{anchor}">'
            f"{dot.value:.1f}</text>"
        )


def _ticks(low: float, high: float) -> list[float]:
    span = high - low
    step = next(one for one in (0.5, 1, 2, 2.5, 5, 10, 20, 25, 50) if span / one <= 6)
    first = -(-low // step)
    return [step * number for number in range(int(first), int(high // step) + 1)]
