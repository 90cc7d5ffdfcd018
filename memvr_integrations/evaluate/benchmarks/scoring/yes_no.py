"""Yes or no: the four published ways to read an answer, and the figures that follow.

They disagree on the same outputs, so a gain under one of them alone is no gain:

| | reads as no | reads as yes | else |
|---|---|---|---|
| `official` (POPE) | "No", "no" or "not" in the first sentence | everything else | - |
| `vcd` | depends on the truth: see `_vcd` | | - |
| `lmms-eval` | exactly "no" | exactly "yes" | unsure |
| `vlmevalkit` | the word "no" and no "yes" | the word "yes" and no "no" | unsure |
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias

from memvr_integrations.evaluate.benchmarks.benchmark import percentages
from memvr_integrations.evaluate.benchmarks.scoring.vqa_text import without_punctuation

Parser: TypeAlias = Callable[[str, bool], bool | None]
"""From an answer and the truth to what the answer says; None where that is unsure."""

OFFICIAL = "official"
_NAMES = {True: "yes", False: "no", None: "unsure"}


def yes_or_no(answer: str) -> bool | None:
    """What an answer says by its words "yes" and "no"; None for neither and for both."""
    words = without_punctuation(answer.lower()).split()
    if ("yes" in words) == ("no" in words):
        return None
    return "yes" in words


def _official(answer: str, truth: bool) -> bool:
    words = answer.split(".")[0].replace(",", "").split(" ")
    return not {"No", "no", "not"} & set(words)


def _vcd(answer: str, truth: bool) -> bool:
    """The right word may stand anywhere, even within "know"; without it the answer is wrong."""
    text = answer.lower()
    return "yes" in text if truth else "no" not in text


def _lmms_eval(answer: str, truth: bool) -> bool | None:
    return {"yes": True, "no": False}.get(answer.lower().strip())


def _vlmevalkit(answer: str, truth: bool) -> bool | None:
    return yes_or_no(answer)


PARSERS: dict[str, Parser] = {
    OFFICIAL: _official,
    "vcd": _vcd,
    "lmms-eval": _lmms_eval,
    "vlmevalkit": _vlmevalkit,
}


def count_answer(counts: Counter[str], under: str, *, truth: bool, said: bool | None) -> None:
    """Note in `counts` what was said where `truth` was right."""
    counts[f"{under}/{_NAMES[truth]} said {_NAMES[said]}"] += 1


def figures_of(
    counts: Mapping[str, int],
    under: str,
    *,
    positive: bool = True,
    unsure_is_missed: bool = True,
) -> dict[str, float]:
    """Accuracy, precision, recall, F1 and the shares of yes and of unsure answers, in percent.

    `positive` is the answer that precision and recall are about. lmms-eval leaves unsure answers
    out of its recall; for the others they are missed (`unsure_is_missed`).
    """
    # Read once: intervals ask for this thousands of times.
    yes, no = (
        {said: counts.get(f"{under}/{truth} said {name}", 0) for said, name in _NAMES.items()}
        for truth in ("yes", "no")
    )
    right, other = (yes, no) if positive else (no, yes)
    hits, false_alarms = right[positive], other[positive]
    misses = right[not positive] + unsure_is_missed * right[None]
    total = sum(yes.values()) + sum(no.values())
    shares = percentages(
        {
            "accuracy": (yes[True] + no[False], total),
            "precision": (hits, hits + false_alarms),
            "recall": (hits, hits + misses),
            "F1": (2 * hits, 2 * hits + false_alarms + misses),
            "yes ratio": (yes[True] + no[True], total),
            "unsure": (yes[None] + no[None], total),
        }
    )
    return {f"{under}/{name}": value for name, value in shares.items()}


def count_all_parsers(counts: Counter[str], under: str, answer: str, *, truth: bool) -> None:
    """Note one answer as each of `PARSERS` reads it."""
    for name, parser in PARSERS.items():
        count_answer(counts, f"{under}/{name}", truth=truth, said=parser(answer, truth))


def figures_of_all_parsers(counts: Mapping[str, int], under: str) -> dict[str, float]:
    """The figures of each of `PARSERS`, under its name; no "unsure" where a parser never is."""
    figures: dict[str, float] = {}
    for name in PARSERS:
        figures |= figures_of(counts, f"{under}/{name}", unsure_is_missed=name != "lmms-eval")
        if name in (OFFICIAL, "vcd"):
            figures.pop(f"{under}/{name}/unsure", None)
    return figures
