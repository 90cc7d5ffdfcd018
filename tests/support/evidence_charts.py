"""Draws the charts of the documentation from the recorded tables that stand beside them.

`python tests/support/generated_pages.py` writes them, so a chart can't say other than its table.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dot_charts import Dot, Panel, dot_chart

DOCS = Path(__file__).parents[2] / "docs"
_BUNDLED, _EVIDENCE = "bundled-evidence.md", "evidence.md"
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_FIGURE = re.compile(rf"({_NUMBER})(?: ?%)?(?: \[({_NUMBER}), ({_NUMBER})\])?")

Cells = dict[str, str]


def table(page: str, heading: str) -> list[Cells]:
    """The first table after a heading: a dictionary a row, by the names of the columns."""
    text = (DOCS / page).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"# {heading}\n")
    if not found:
        raise LookupError(f"docs/{page} has no heading {heading!r}; the chart's table was there")
    lines = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    if lines is None:
        raise LookupError(f"docs/{page} has no table under {heading!r}")
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[0].splitlines()]
    names = [name or f"#{number}" for number, name in enumerate(rows[0])]
    return [dict(zip(names, row, strict=True)) for row in rows[2:]]


def figure(cell: str) -> Dot:
    """What a cell such as `86.5 [84.8, 88.1]` holds."""
    found = _FIGURE.match(cell.replace("*", ""))
    if found is None:
        raise ValueError(f"{cell!r} holds no figure")
    value, low, high = found.groups()
    if low is None:
        return Dot(value=float(value))
    return Dot(value=float(value), low=float(low), high=float(high))


def _pair(before: str, after: str, first: str, then: str) -> dict[str, Dot]:
    return {
        first: replace(figure(before), said="left"),
        then: replace(figure(after), said="right"),
    }


def does_it_help() -> str:
    """What withholding, MemVR's preset, and training with retracing brought, side by side."""
    withheld = {row["scenes"]: row for row in table(_BUNDLED, "When to withhold an answer")}
    preset = {
        row["decoding"]: row["accuracy"]
        for row in table(_BUNDLED, "The preset")
        if row["scenes"] == "unseen art"
    }
    trained = {
        row["decoding"]: row["right"]
        for row in table(_EVIDENCE, "Trained to see by looking twice")
        if row["blindfold"] == "from layer 0"
    }
    art = withheld["unseen art"]
    given = 100 - figure(art["withheld"]).value
    first, then = "without", "with"
    rows = [
        _pair(art["right, all answers"], art["right, of the answers given"], first, then),
        _pair(preset["off"], preset["MemVR"], first, then),
        _pair(trained["off"], trained["MemVR"], first, then),
    ]
    names = [
        f"Unsure answers withheld ({given:.0f} % given)",
        "MemVR's preset",
        "MemVR, trained for it, blindfolded",
    ]
    panel = Panel(title="", low=45, high=105, rows=rows, joined=True)
    return dot_chart("Answers that are right, in %, without and with", names, [panel])


def withholding() -> str:
    """What is right of all answers, and of those given."""
    rows = table(_BUNDLED, "When to withhold an answer")
    pairs = [
        _pair(
            row["right, all answers"],
            row["right, of the answers given"],
            "all answers",
            "the answers given",
        )
        for row in rows
    ]
    names = [f"{row['scenes']} ({100 - figure(row['withheld']).value:.0f} % given)" for row in rows]
    panel = Panel(title="", low=70, high=104, rows=pairs, joined=True)
    return dot_chart("Right, in %: withholding what is unsure", names, [panel])


def abilities() -> str:
    """What the model in the box can do, in the art that it knows and in other art."""
    rows = table(_BUNDLED, "What the bundled model can do")
    kinds = ("same art, new scenes", "unseen art")
    dots = [{kind: figure(row[kind]) for kind in kinds} for row in rows]
    panel = Panel(title="", low=0, high=100, rows=dots, joined=True)
    return dot_chart("The bundled model's abilities, in %", [row["#0"] for row in rows], [panel])


def preset() -> str:
    """MemVR and its controls, off and on, by kind of scene."""
    rows = table(_BUNDLED, "The preset")
    scenes = list(dict.fromkeys(row["scenes"] for row in rows))
    dots = [
        {row["decoding"]: figure(row["accuracy"]) for row in rows if row["scenes"] == kind}
        for kind in scenes
    ]
    panel = Panel(title="", low=84, high=100, rows=dots)
    return dot_chart("Yes/no questions right, in %: five ways, no difference", scenes, [panel])


def _strategies(heading: str, title: str, spans: tuple[float, float, float]) -> str:
    rows = [row for row in table(_EVIDENCE, heading) if "<br>" in row["captions/recall"]]
    shown = {
        "adversarial/accuracy": "right, adversarial ↑",
        "captions/CHAIR_I": "CHAIR_I ↓",
        "captions/recall": "recall ↑",
    }
    panels = [
        Panel(
            title=name,
            low=-span,
            high=span,
            line=0,
            rows=[{"": figure(row[column].partition("<br>")[2])} for row in rows],
        )
        for (column, name), span in zip(shown.items(), spans, strict=True)
    ]
    return dot_chart(title, [row["#0"] for row in rows], panels)


def decoding_greedy() -> str:
    """All ways of decoding beside plain greedy answers."""
    title = "Greedy: difference to plain decoding, in points"
    return _strategies("All ways of decoding, greedy", title, (2.5, 2.5, 4))


def decoding_sampled() -> str:
    """All ways of decoding beside plain sampled answers."""
    title = "Sampled: difference to plain decoding, in points"
    return _strategies("Sampled answers", title, (2.5, 7, 4))


def _blindfolds(heading: str, title: str) -> str:
    rows = table(_EVIDENCE, heading)
    names: list[str] = []
    dots: list[dict[str, Dot]] = []
    for row in rows:
        head = "no blindfold:" if row["blindfold"] in ("none", "off") else f"{row['blindfold']}:"
        if head not in names:
            names.append(head)
            dots.append({})
        names.append(row["decoding"])
        dots.append({"": replace(figure(row["right"]), said="right")})
    return dot_chart(title, names, [Panel(title="", low=45, high=105, rows=dots)])


def blindfold() -> str:
    """What the model that ships sees by retracing alone."""
    title = "Yes/no questions right, in %: the model that ships (50 is guessing)"
    return _blindfolds("With attention's eyes closed", title)


def trained() -> str:
    """What a model that was trained for it sees by retracing alone."""
    title = "Yes/no questions right, in %: trained to see by retracing (50 is guessing)"
    return _blindfolds("Trained to see by looking twice", title)


def language_first() -> str:
    """What a model sees by retracing alone that learnt language first."""
    title = "Yes/no questions right, in %: language first (50 is guessing)"
    return _blindfolds("Language first", title)


CHARTS: dict[str, Callable[[], str]] = {
    f"charts/{make.__name__.replace('_', '-')}.svg": make
    for make in (
        does_it_help,
        withholding,
        abilities,
        preset,
        decoding_greedy,
        decoding_sampled,
        blindfold,
        trained,
        language_first,
    )
}
