"""A column of a table as a picture, light or dark: a bar for each row, and its interval over it."""

import html
from collections.abc import Iterator, Sequence

from memvr_integrations.evaluate.costs.figures import Spread, Table

_WIDTH, _ROW, _BAR = 720, 24, 14
_NAMES, _FIGURES = 310, 130  # room at the left and at the right
_LONGEST = _WIDTH - _NAMES - _FIGURES
_STYLE = (
    "<style>text{fill:#222}.ground{fill:#fff}.bar{fill:#4a7ab5}.spread{stroke:#111}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e6e6}.ground{fill:#1d1f27}"
    ".bar{fill:#4f86c6}.spread{stroke:#fff}}</style>"
)


def chart(table: Table) -> str:
    """An SVG of the table's `charted` column; a line marks 1 where it holds ratios."""
    at = table.columns.index(table.charted)
    bars = [(name, cells[at]) for name, cells in table.rows.items() if cells[at].values]
    most = max(spread.high for _, spread in bars)
    title = f"{table.title}: {table.charted}"
    height = _ROW * (len(bars) + 1) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(title)}" font-family="sans-serif" font-size="13">',
        _STYLE,
        f'<rect width="{_WIDTH}" height="{height}" class="ground"/>',
        f'<text x="8" y="17" font-weight="bold">{html.escape(title)}</text>',
        *_bars(bars, most),
    ]
    if "/" in table.charted or table.charted == "ratio":
        one = _NAMES + _LONGEST / max(most, 1)
        lines.append(
            f'<line x1="{one:.1f}" x2="{one:.1f}" y1="{_ROW}" y2="{height - 4}" '
            'stroke="#888" stroke-dasharray="3 3"/>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _bars(bars: Sequence[tuple[str, Spread]], most: float) -> Iterator[str]:
    for number, (name, spread) in enumerate(bars, 1):
        top = number * _ROW + (_ROW - _BAR) / 2
        middle = top + _BAR / 2
        start, end, length = (
            _LONGEST * value / max(most, 1) for value in (spread.low, spread.high, spread.median)
        )
        yield (
            f'<text x="{_NAMES - 8}" y="{middle + 4}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="{_NAMES}" y="{top}" width="{length:.1f}" height="{_BAR}" class="bar"/>'
            f'<line x1="{_NAMES + start:.1f}" x2="{_NAMES + end:.1f}" y1="{middle}" '
            f'y2="{middle}" class="spread" stroke-width="2"/>'
            f'<text x="{_NAMES + _LONGEST + 8}" y="{middle + 4}">{spread}</text>'
        )
