"""HallusionBench: the same question about a figure, an edited one, or none (arXiv 2310.14566)."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from memvr_integrations.evaluate.benchmarks.benchmark import (
    Marked,
    Question,
    answered,
    complete,
    percentages,
)
from memvr_integrations.evaluate.benchmarks.published_files import (
    Folder,
    Record,
    is_file,
    json_list,
)
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import yes_or_no

_ADVICE = (
    "HallusionBench needs HallusionBench.json of https://github.com/tianyi-lab/HallusionBench and "
    "the folder hallusion_bench, from the zip that its README links to."
)
_CATEGORIES = ("VD", "VS")


@dataclass(frozen=True, kw_only=True)
class HallusionBench(Marked):
    """Accuracy over questions (aAcc), whole figures (fAcc) and whole questions (qAcc).

    Answers are read by their words "yes" and "no" rather than by a judge. As in the published
    scorer, who says neither is right where there is no figure to go by (VS without one).
    `figure_sets` and `question_sets` hold the ids of what must be right together.
    """

    entries: Mapping[str, Record]
    figure_sets: Mapping[str, list[str]]
    question_sets: Mapping[str, list[str]]
    suffix: ClassVar[str] = "json"

    def is_right(self, question: Question, answer: str) -> bool:
        """Each question by itself."""
        said, entry = yes_or_no(answer), self.entries[question.id]
        return _no_figure(entry) if said is None else said == (entry.text("gt_answer") == "1")

    def mark(self, question: Question, answer: str) -> Counter[str]:
        """All but what fAcc and qAcc put together."""
        said = yes_or_no(answer)
        counts = _judged("aAcc", question.group, self.is_right(question, answer))
        counts.update({"yes": said is True, "unsure": said is None})
        return counts

    def marks(self, answers: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Counts by set of figures, which holds all that fAcc and qAcc put together."""
        marks, right = super().marks(answers), self.right(answers)
        for name, sets in (("fAcc", self.figure_sets), ("qAcc", self.question_sets)):
            for which, good in complete(sets, right).items():
                group = which.rpartition("/")[0]
                marks[group].update(_judged(name, group, good))
        return marks

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The three accuracies, of all and of each category, and how often it says yes."""
        names = [
            under + name
            for under in ("", *(f"{one}/" for one in _CATEGORIES))
            for name in ("aAcc", "fAcc", "qAcc")
        ]
        asked = counts.get("aAcc of", 0)
        return percentages(
            {name: (counts.get(name, 0), counts.get(f"{name} of", 0)) for name in names}
            | {"yes ratio": (counts.get("yes", 0), asked)}
            | {"unsure": (counts.get("unsure", 0), asked)}
        )

    def truth(self, question: Question) -> str:
        """Yes or no."""
        return "yes" if self.entries[question.id].text("gt_answer") == "1" else "no"

    def answers_file(self, answers: Mapping[str, str], *, model: str) -> str:
        """HallusionBench_result.json, for the project's own script and its judge."""
        entries = [
            {**self.entries[question.id].fields, "model_prediction": answer}
            for question, answer in answered(self.questions, answers)
        ]
        return json.dumps(entries, indent=1, ensure_ascii=False)


def load_hallusion_bench(folder: Path) -> HallusionBench:
    """Read `HallusionBench.json` and the images that it names.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "HallusionBench", _ADVICE)
    questions: list[Question] = []
    entries: dict[str, Record] = {}
    figure_sets: dict[str, list[str]] = {}
    question_sets: dict[str, list[str]] = {}
    for entry in json_list(files.find("HallusionBench.json")):
        group = "/".join(
            (entry.choice("category", _CATEGORIES), entry.text("subcategory"), entry.text("set_id"))
        )
        figure, number = entry.text("figure_id"), entry.text("question_id")
        name = f"{group}/{figure}/{number}"
        if name in entries:
            raise entry.wrong(f"the same question was there before ({entries[name].place})")
        entry.choice("gt_answer", ("0", "1"))
        entries[name] = entry
        if not _no_figure(entry):
            figure_sets.setdefault(f"{group}/{figure}", []).append(name)
        question_sets.setdefault(f"{group}/{number}", []).append(name)
        seen = entry.choice("visual_input", ("0", "1", "2")) != "0"
        images = (_picture(folder, entry.text("filename")),) if seen else ()
        questions.append(Question(id=name, text=entry.text("question"), images=images, group=group))
    return HallusionBench(
        name="hallusionbench",
        questions=files.checked(questions),
        entries=entries,
        figure_sets=figure_sets,
        question_sets=question_sets,
    )


def _picture(folder: Path, name: str) -> Path:
    """Where an image lies; the project's README puts all of them into hallusion_bench."""
    within = folder / "hallusion_bench" / name
    return within if is_file(within) else folder / name


def _no_figure(entry: Record) -> bool:
    return entry.text("category") == "VS" and entry.text("figure_id") == "0"


def _judged(name: str, group: str, good: bool) -> Counter[str]:
    category = group.partition("/")[0]
    counts = Counter[str]()
    for under in (name, f"{category}/{name}"):
        counts.update({f"{under} of": 1, under: good})
    return counts
