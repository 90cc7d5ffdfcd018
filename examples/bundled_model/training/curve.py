"""Draws a training log as a picture: one small SVG chart for each figure."""

from collections import defaultdict
from pathlib import Path
from xml.sax.saxutils import escape

from bundled_model.training.training_log import read_log

_WIDTH, _HEIGHT, _GAP, _ACROSS = 260, 120, 34, 3
_COLORS = {"vision": "#3b6fb5", "joint": "#b5563b"}


def draw_curves(log: Path, picture: Path) -> None:
    """Read a log of JSON lines and write an SVG with a chart a figure, a line a stage."""
    curves: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(dict)
    for entry in read_log(log):
        for name, value in entry.figures.items():
            curves[name].setdefault(entry.stage, []).append((entry.step, value))
    picture.write_text(_svg(curves))


def _svg(curves: dict[str, dict[str, list[tuple[float, float]]]]) -> str:
    charts = [
        _chart(name, lines, index % _ACROSS, index // _ACROSS)
        for index, (name, lines) in enumerate(curves.items())
    ]
    rows = -(-len(charts) // _ACROSS)
    width, height = _ACROSS * (_WIDTH + _GAP) + _GAP, rows * (_HEIGHT + 2 * _GAP) + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>' + "".join(charts) + "</svg>\n"
    )


def _chart(name: str, lines: dict[str, list[tuple[float, float]]], column: int, row: int) -> str:
    """One chart; each stage's steps run over its whole width."""
    x0, y0 = _GAP + column * (_WIDTH + _GAP), _GAP + row * (_HEIGHT + 2 * _GAP)
    values = [value for points in lines.values() for _, value in points]
    low, high = min(0.0, *values), max(1.0, *values)
    parts = [
        f'<rect x="{x0}" y="{y0}" width="{_WIDTH}" height="{_HEIGHT}" fill="#f6f6f6"/>',
        f'<text x="{x0}" y="{y0 - 5}">{escape(name)}</text>',
        f'<text x="{x0 - 4}" y="{y0 + 9}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{x0 - 4}" y="{y0 + _HEIGHT}" text-anchor="end">{low:.3g}</text>',
    ]
    for index, (stage, points) in enumerate(lines.items()):
        last = max(step for step, _ in points)
        path = " ".join(
            f"{x0 + _WIDTH * step / last:.1f},"
            f"{y0 + _HEIGHT * (1 - (value - low) / (high - low)):.1f}"
            for step, value in points
        )
        color = _COLORS.get(stage, "#555555")
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}"/>')
        parts.append(
            f'<text x="{x0 + index * 120}" y="{y0 + _HEIGHT + 14}" fill="{color}">'
            f"{escape(stage)}: {last:g} steps, {points[-1][1]:.3f}</text>"
        )
    return "".join(parts)
