"""MMVP: pairs of images that look alike to CLIP, one question for both (arXiv 2401.06209)."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from memvr_integrations.evaluate.benchmarks.benchmark import (
    Marked,
    Question,
    all_answered,
    by_group,
    complete,
    percentages,
)
from memvr_integrations.evaluate.benchmarks.published_files import Folder, Record, table, unique

_ADVICE = (
    "MMVP needs Questions.csv and the folder 'MMVP Images' of "
    "https://huggingface.co/datasets/MMVP/MMVP."
)
_OPTION = re.compile(r"\(([ab])\)\s*([^(]*)", re.IGNORECASE)
_LETTER = re.compile(r"\s*\(?([ab])(?:[).:,]|\s*$)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Mmvp(Marked):
    """A pair counts when both of its images are answered rightly.

    The published script asks a judge; here an answer is read by `chosen`.
    """

    rows: Mapping[str, Record]
    suffix: ClassVar[str] = "jsonl"

    def is_right(self, question: Question, answer: str) -> bool:
        """Each image of a pair by itself."""
        row = self.rows[question.id]
        return chosen(answer, row.text("Options")) == _truth(row)

    def mark(self, question: Question, answer: str) -> dict[str, int]:
        """Those of one image."""
        unsure = chosen(answer, self.rows[question.id].text("Options")) is None
        return {"asked": 1, "right": self.is_right(question, answer), "unsure": unsure}

    def marks(self, answers: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Counts by pair."""
        marks = super().marks(answers)
        for pair, both in complete(by_group(self.questions), self.right(answers)).items():
            marks[pair]["pairs"] += 1
            marks[pair]["both"] += both
        return marks

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Accuracy over pairs and over questions, and how many answers name no option."""
        asked = counts.get("asked", 0)
        return percentages(
            {
                "pair accuracy": (counts.get("both", 0), counts.get("pairs", 0)),
                "accuracy": (counts.get("right", 0), asked),
                "unsure": (counts.get("unsure", 0), asked),
            }
        )

    def truth(self, question: Question) -> str:
        """The right option's letter."""
        return self.rows[question.id].text("Correct Answer").strip()

    def answers_file(self, answers: Mapping[str, str], *, model: str) -> str:
        """JSON lines for the project's own grader, which asks a judge."""
        lines = [
            {
                "question_id": int(question.id),
                "prompt": question.text,
                "answer": self.rows[question.id].text("Correct Answer"),
                "response": answer,
                "answer_id": question.id,
                "model_id": model,
            }
            for question, answer in all_answered(self.questions, answers)
        ]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def chosen(answer: str, options: str) -> str | None:
    """The option that an answer names, "a" or "b"; None for neither and for both.

    "(a)", "A." and "b" at the start name it by letter; else one option's words must be there and
    not the other's.
    """
    letters = {letter.lower() for letter in re.findall(r"\(([ab])\)", answer, re.IGNORECASE)}
    if not letters and (begin := _LETTER.match(answer)):
        letters = {begin[1].lower()}
    if not letters:
        letters = {
            letter.lower() for letter, text in _OPTION.findall(options) if _says(answer, text)
        }
    return letters.pop() if len(letters) == 1 else None


def _says(answer: str, option: str) -> bool:
    """Whether an answer has an option's words in a row, with no marks between but the option's."""
    clauses = (re.findall(r"\w+", clause) for clause in re.split(r"[^\w\s-]+", option))
    words = r"\W+".join(r"[\s*-]+".join(clause) for clause in clauses if clause)
    return bool(words) and re.search(rf"\b{words}\b", answer, re.IGNORECASE) is not None


def load_mmvp(folder: Path) -> Mmvp:
    """Read `Questions.csv`; rows 1 and 2, 3 and 4, ... are pairs.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "MMVP", _ADVICE)
    pictures = files.find("MMVP Images")
    questions: list[Question] = []
    rows: dict[str, Record] = {}
    for name, row in unique(table(files.find("Questions.csv")), "Index"):
        if not name.isdecimal():
            raise row.wrong(f"'Index' is {name!r}, not the number of an image")
        row.choice("Correct Answer", ("(a)", "(b)"))
        rows[name] = row
        questions.append(
            Question(
                id=name,
                text=f"{row.text('Question')} {row.text('Options')}",
                images=(pictures / f"{name}.jpg",),
                group=f"pair {(int(name) + 1) // 2}",
            )
        )
    return Mmvp(name="mmvp", questions=files.checked(questions), rows=rows)


def _truth(row: Record) -> str:
    return row.text("Correct Answer").strip().strip("()").lower()
