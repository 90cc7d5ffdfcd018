"""Benchmarks whose answers a judge marks elsewhere: here only their length is counted.

MM-Vet asks questions that need several abilities at once (arXiv 2308.02490), LLaVA-Bench (in the
wild) 60 open questions about 24 images (arXiv 2304.08485).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from memvr_integrations.evaluate.benchmarks.benchmark import Marked, Question, all_answered
from memvr_integrations.evaluate.benchmarks.published_files import (
    Folder,
    Record,
    as_record,
    json_lines,
    json_object,
    unique,
)

_MM_VET_ADVICE = (
    "MM-Vet needs mm-vet.json and the folder images of "
    "https://github.com/yuweihao/MM-Vet/releases/download/v1/mm-vet.zip."
)
_LLAVA_ADVICE = (
    "LLaVA-Bench needs questions.jsonl and the folder images of "
    "https://huggingface.co/datasets/liuhaotian/llava-bench-in-the-wild."
)


@dataclass(frozen=True, kw_only=True)
class Judged(Marked):
    """Questions with free answers; a subclass writes the file for its judge."""

    def mark(self, question: Question, answer: str) -> dict[str, int]:
        """The words of an answer."""
        return {"answers": 1, "words": len(answer.split())}

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The mean length in words."""
        answers = counts.get("answers", 0)
        return {"length, words": counts.get("words", 0) / answers} if answers else {}


@dataclass(frozen=True, kw_only=True)
class MmVet(Judged):
    """Its evaluator (github.com/yuweihao/MM-Vet) asks a judge about a file of answers."""

    suffix: ClassVar[str] = "json"

    def answers_file(self, answers: Mapping[str, str], *, model: str) -> str:
        """The JSON object of answers by question id, for results/{model}.json."""
        given = {question.id: answer for question, answer in all_answered(self.questions, answers)}
        return json.dumps(given, indent=2, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class LlavaBench(Judged):
    """LLaVA's script (eval_gpt_review_bench.py) asks a judge about a file of answers.

    The script reads that file and the questions side by side, so after a gap it would compare
    answers with the wrong questions.
    """

    suffix: ClassVar[str] = "jsonl"

    def answers_file(self, answers: Mapping[str, str], *, model: str) -> str:
        """JSON lines as LLaVA's model_vqa.py writes them, in the order of the questions."""
        lines: list[dict[str, object]] = [
            {
                "question_id": int(question.id) if question.id.isdecimal() else question.id,
                "prompt": question.text,
                "text": answer,
                "answer_id": question.id,
                "model_id": model,
                "metadata": {},
            }
            for question, answer in all_answered(self.questions, answers)
        ]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def load_mm_vet(folder: Path) -> MmVet:
    """Read `mm-vet.json` of a folder, or of its mm-vet, and the images.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "MM-Vet", _MM_VET_ADVICE)
    path = files.find("mm-vet.json", "mm-vet/mm-vet.json")
    entries = [
        (name, as_record(value, f"{path}, {name!r}"))
        for name, value in json_object(path).fields.items()
    ]
    asked = _questions(entries, path.parent / "images", "imagename", "question", max_tokens=512)
    return MmVet(name="mm-vet", questions=files.checked(asked))


def load_llava_bench(folder: Path) -> LlavaBench:
    """Read `questions.jsonl` and the images.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "LLaVA-Bench", _LLAVA_ADVICE)
    pictures = files.find("images")
    entries = unique(json_lines(files.find("questions.jsonl")), "question_id")
    # As many tokens as LLaVA's own script has.
    asked = _questions(entries, pictures, "image", "text", max_tokens=1024)
    return LlavaBench(name="llava-bench", questions=files.checked(asked))


def _questions(
    entries: Iterable[tuple[str, Record]], pictures: Path, image: str, text: str, *, max_tokens: int
) -> list[Question]:
    """Questions by id, from the fields `image` and `text` of their entries."""
    return [
        Question(
            id=name,
            text=record.text(text),
            images=(pictures / record.text(image),),
            group=record.text(image),
            max_tokens=max_tokens,
        )
        for name, record in entries
    ]
