"""What was found, in words: what each strategy did beside the first one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memvr_integrations.evaluate.benchmarks.scoring.yes_no import OFFICIAL
from memvr_integrations.evaluate.running.report.line import Line, figure_names
from memvr_integrations.evaluate.running.report.meaning import better, gain, is_sure, principal
from memvr_integrations.evaluate.running.statistics import Estimate
from memvr_integrations.evaluate.running.ways import CONTROLS, MEMVR

_NO_FIGURE = "no figure says what is better"

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
class Finding:
    """What was found about one strategy, or about a control: a head, and parts of a sentence."""

    about: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.about}: {'; '.join(self.parts)}."


def verdict(lines: Sequence[Line]) -> list[Finding]:
    """A finding for each strategy but the first, and one for each control that gains as much.

    What is compared are a few figures that say what is better; the others stand in the tables.
    """
    first, *others = lines
    names = principal(figure_names(lines))
    if others:
        found = [_against(line, first, names) for line in others]
        return found + list(_controls(others, names))
    figures = [f"{_short(name)} {one}" for name, one in first.figures.items() if name in names]
    return [Finding(about=first.strategy, parts=tuple(figures or [_NO_FIGURE]))]


def _against(line: Line, first: Line, names: Sequence[str]) -> Finding:
    compared = [(name, line.changes[name]) for name in names if name in line.changes]
    parts = [_found(name, change) for name, change in compared if is_sure(change)]
    same = [f"{_short(name)} ({one.signed()})" for name, one in compared if not is_sure(one)]
    if same:
        parts.append(f"no difference shown beyond chance in {', '.join(same)}")
    if not parts:
        parts.append(_NO_FIGURE if line.figures else "no question was answered")
    if line.failed:
        parts.append(f"{line.failed} questions failed, and count for no strategy")
    return Finding(about=f"{line.strategy} against {first.strategy}", parts=tuple(parts))


def _found(name: str, change: Estimate) -> str:
    word = "better" if gain(name, change) else "worse"
    return f"{word} in {_short(name)}, where {better(name)} is better ({change.signed()})"


def _controls(others: Sequence[Line], names: Sequence[str]) -> Iterator[Finding]:
    """Where MemVR gains, and a control of it gains as much."""
    memvr = next((line for line in others if line.strategy == MEMVR), None)
    if memvr is None:
        return
    gained = [name for name in names if name in memvr.changes and gain(name, memvr.changes[name])]
    for control in others:
        if control.strategy not in CONTROLS:
            continue
        as_much = [
            f"gains as much as {MEMVR} in {_short(name)} ({control.changes[name].signed()})"
            for name in gained
            if name in control.changes
            and _worth(name, control.changes[name]) >= _worth(name, memvr.changes[name])
        ]
        if as_much:
            why = "so it is not what is seen that helps there"
            yield Finding(about=f"the control {control.strategy}", parts=(*as_much, why))


def _worth(name: str, change: Estimate) -> float:
    return change.value if better(name) == "higher" else -change.value


def _short(name: str) -> str:
    return name.replace(f"/{OFFICIAL}/", "/")
