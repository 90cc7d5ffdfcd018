"""POPE: is there such a thing in the image? (arXiv 2305.10355; github.com/AoiDragon/POPE).

Every image is asked about what is there and about what is not, the absent things chosen at random,
among the most frequent, or among those that come most often with what is there.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import Question, answered
from memvr_integrations.evaluate.benchmarks.published_files import Folder, json_lines, unique
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import (
    OFFICIAL,
    PARSERS,
    count_all_parsers,
    figures_of_all_parsers,
)

SPLITS = ("random", "popular", "adversarial")
_ADVICE = (
    "POPE needs coco_pope_random.json, coco_pope_popular.json and coco_pope_adversarial.json "
    "(output/coco in https://github.com/AoiDragon/POPE) and the images of COCO's val2014 "
    "(http://images.cocodataset.org/zips/val2014.zip) in its folder val2014."
)


@dataclass(frozen=True, kw_only=True)
class Pope:
    """The three splits; each has the figures of all four parsers, `right` has the official one."""

    questions: tuple[Question, ...]
    splits: Mapping[str, str]
    truths: Mapping[str, bool]
    name: str = "pope"

    def marks(self, answers: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Counts by image."""
        marks: dict[str, Counter[str]] = {}
        for question, answer in answered(self.questions, answers):
            counts = marks.setdefault(question.group, Counter())
            split, truth = self.splits[question.id], self.truths[question.id]
            count_all_parsers(counts, split, answer, truth=truth)
        return marks

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The figures of each split and parser."""
        return {
            name: value
            for split in SPLITS
            for name, value in figures_of_all_parsers(counts, split).items()
        }

    def right(self, answers: Mapping[str, str]) -> dict[str, bool]:
        """By the official parser."""
        return {
            question.id: PARSERS[OFFICIAL](answer, truth) == truth
            for question, answer in answered(self.questions, answers)
            for truth in [self.truths[question.id]]
        }


def load_pope(folder: Path, *, dataset: str = "coco") -> Pope:
    """Read `{dataset}_pope_{split}.json` of a folder, or of its output/{dataset}, and the images.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "POPE", _ADVICE)
    questions: list[Question] = []
    splits: dict[str, str] = {}
    truths: dict[str, bool] = {}
    paths = {
        split: files.find(
            f"{dataset}_pope_{split}.json", f"output/{dataset}/{dataset}_pope_{split}.json"
        )
        for split in SPLITS
    }
    pictures = files.find("val2014", "images")
    for split, path in paths.items():
        before = len(questions)
        for number, record in unique(json_lines(path), "question_id"):
            name, image = f"{split}/{number}", record.text("image")
            splits[name], truths[name] = split, record.choice("label", ("yes", "no")) == "yes"
            questions.append(
                Question(id=name, text=record.text("text"), images=(pictures / image,), group=image)
            )
        if len(questions) == before:
            raise BenchmarkError(f"{path}: there is no question in it. {_ADVICE}")
    return Pope(questions=files.checked(questions), splits=splits, truths=truths)
