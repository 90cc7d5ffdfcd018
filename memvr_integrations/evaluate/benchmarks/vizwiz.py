"""VizWiz: what blind people asked about their own photographs (vizwiz.org, arXiv 1802.08218)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from memvr_integrations.evaluate.benchmarks.benchmark import (
    Marked,
    Question,
    all_answered,
    percentages,
)
from memvr_integrations.evaluate.benchmarks.published_files import Folder, json_list, unique
from memvr_integrations.evaluate.benchmarks.scoring.vqa_text import normalized

_ADVICE = (
    "VizWiz needs val.json or test.json "
    "(https://vizwiz.cs.colorado.edu/VizWiz_final/vqa_data/Annotations.zip) and the images in a "
    "folder of the same name (https://vizwiz.cs.colorado.edu/VizWiz_final/images/val.zip, or "
    "test.zip there)."
)
# LLaVA-1.5's prompt, so that figures can be compared with those of its family.
_SUFFIX = (
    "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
    "\nAnswer the question using a single word or phrase."
)
_PARTS = 3 * 2520  # an answer's accuracy is a whole number of these parts for 1 to 10 people


@dataclass(frozen=True, kw_only=True)
class VizWiz(Marked):
    """VQA accuracy where people's answers are known, and the file for the challenge's server.

    `people` holds ten people's answers by question; none for the test split.
    """

    people: Mapping[str, Sequence[str]]
    suffix: ClassVar[str] = "json"

    def mark(self, question: Question, answer: str) -> dict[str, int]:
        """Those of an image, each of which has one question; an answer may be right in part."""
        said = normalized(answer)
        counts = {"answers": 1, "unanswerable": int(said == "unanswerable")}
        if people := self.people.get(question.id):
            counts["judged parts"] = _PARTS
            counts["right parts"] = round(_PARTS * agreement(said, people))
        return counts

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The accuracy, and how often the question is called unanswerable."""
        return percentages(
            {
                "accuracy": (counts.get("right parts", 0), counts.get("judged parts", 0)),
                "unanswerable": (counts.get("unanswerable", 0), counts.get("answers", 0)),
            }
        )

    def truth(self, question: Question) -> str:
        """What people answered, each answer once."""
        return ", ".join(dict.fromkeys(self.people.get(question.id, ())))

    def answers_file(self, answers: Mapping[str, str], *, model: str) -> str:
        """The JSON list of images and answers that the challenge's server on EvalAI takes."""
        entries = [
            {"image": question.group, "answer": normalized(answer)}
            for question, answer in all_answered(self.questions, answers)
        ]
        return json.dumps(entries, indent=1, ensure_ascii=False)


def agreement(said: str, people: Sequence[str]) -> float:
    """How far people agree with a normalised answer, 0 to 1.

    That is min(1, matches / 3) among all people but one, averaged over who is left out.
    """
    others = [normalized(one) for one in people]
    matches = others.count(said)
    left = [min(1.0, (matches - (one == said)) / 3) for one in others]
    return sum(left) / len(left)


def load_vizwiz(folder: Path) -> VizWiz:
    """Read `val.json` (with people's answers) if it is there, else `test.json` (without).

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "VizWiz", _ADVICE)
    path = files.find("val.json", "test.json", "Annotations/val.json", "Annotations/test.json")
    pictures = files.find(path.stem)
    questions: list[Question] = []
    people: dict[str, tuple[str, ...]] = {}
    for image, record in unique(json_list(path), "image"):
        questions.append(
            Question(
                id=image,
                text=record.text("question") + _SUFFIX,
                images=(pictures / image,),
                group=image,
            )
        )
        if path.stem == "val":
            answers = tuple(one.text("answer") for one in record.records("answers"))
            if not answers:
                raise record.wrong("'answers' is empty")
            people[image] = answers
    return VizWiz(name="vizwiz", questions=files.checked(questions), people=people)
