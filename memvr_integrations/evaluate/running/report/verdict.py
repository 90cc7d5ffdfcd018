"""What was found, in words: what each strategy did beside the first one."""

from collections.abc import Iterator, Sequence

from memvr_integrations.evaluate.running.report.line import Line, figure_names
from memvr_integrations.evaluate.running.report.meaning import better, gain, is_sure, principal
from memvr_integrations.evaluate.running.statistics import Estimate
from memvr_integrations.evaluate.running.ways import CONTROLS, MEMVR

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


def verdict(lines: Sequence[Line]) -> list[str]:
    """A sentence for each strategy but the first, and one for controls that gain as much.

    What is compared are a few figures that say what is better; the others stand in the tables.
    """
    first, *others = lines
    names = principal(figure_names(lines))
    if not others:
        figures = "; ".join(
            f"{name} {first.figures[name]}" for name in names if name in first.figures
        )
        return [f"{first.strategy}: {figures or 'no figure says what is better'}."]
    return [_sentence(line, first, names) for line in others] + list(_controls(others, names))


def _sentence(line: Line, first: Line, names: Sequence[str]) -> str:
    against = f"{line.strategy} against {first.strategy}"
    if not line.figures:
        return f"{against}: nothing to compare, for no question was answered."
    compared = [(name, line.changes[name]) for name in names if name in line.changes]
    if not compared:
        return f"{against}: no figure says what is better."
    shown = [_found(name, change) for name, change in compared if is_sure(change)]
    same = [f"{name} ({change.signed()})" for name, change in compared if not is_sure(change)]
    if same:
        shown.append(f"no difference shown beyond chance in {', '.join(same)}")
    failed = f"; {line.failed} questions failed" if line.failed else ""
    return f"{against}: {'; '.join(shown)}{failed}."


def _found(name: str, change: Estimate) -> str:
    word = "better" if gain(name, change) else "worse"
    return f"{word} in {name}, where {better(name)} is better ({change.signed()})"


def _controls(others: Sequence[Line], names: Sequence[str]) -> Iterator[str]:
    """Where MemVR gains, and a control of it gains as much."""
    memvr = next((line for line in others if line.strategy == MEMVR), None)
    if memvr is None:
        return
    for name in names:
        change = memvr.changes.get(name)
        if change is None or not gain(name, change):
            continue
        sign = 1 if better(name) == "higher" else -1
        for control in others:
            other = control.changes.get(name)
            if control.strategy in CONTROLS and other and sign * other.value >= sign * change.value:
                yield (
                    f"The control {control.strategy} gains as much in {name} "
                    f"({other.signed()}): it is not what is seen that helps there."
                )
