"""MM-Vet: open questions that need several abilities at once (arXiv 2308.02490)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from memvr_integrations.evaluate.benchmarks.benchmark import Question, all_answered
from memvr_integrations.evaluate.benchmarks.judged import Judged
from memvr_integrations.evaluate.benchmarks.published_files import Folder, as_record, json_object

_ADVICE = (
    "MM-Vet needs mm-vet.json and the folder images of "
    "https://github.com/yuweihao/MM-Vet/releases/download/v1/mm-vet.zip."
)
_MAX_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class MmVet(Judged):
    """Its evaluator (github.com/yuweihao/MM-Vet) asks a judge about a file of answers."""

    suffix: ClassVar[str] = "json"

    name: str = "mm-vet"

    def answers_file(self, answers: Mapping[str, str], *, model: str) -> str:
        """The JSON object of answers by question id, for results/{model}.json."""
        given = {question.id: answer for question, answer in all_answered(self.questions, answers)}
        return json.dumps(given, indent=2, ensure_ascii=False)


def load_mm_vet(folder: Path) -> MmVet:
    """Read `mm-vet.json` of a folder, or of its mm-vet, and the images.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "MM-Vet", _ADVICE)
    path = files.find("mm-vet.json", "mm-vet/mm-vet.json")
    questions = []
    for name, value in json_object(path).fields.items():
        record = as_record(value, f"{path}, {name!r}")
        image = record.text("imagename")
        questions.append(
            Question(
                id=name,
                text=record.text("question"),
                images=(path.parent / "images" / image,),
                group=image,
                max_tokens=_MAX_TOKENS,
            )
        )
    return MmVet(questions=files.checked(questions))
