"""LLaVA-Bench (in the wild): 60 open questions about 24 images, for a judge (arXiv 2304.08485)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from memvr_integrations.evaluate.benchmarks.benchmark import Question, all_answered
from memvr_integrations.evaluate.benchmarks.judged import Judged
from memvr_integrations.evaluate.benchmarks.published_files import Folder, json_lines, unique

_ADVICE = (
    "LLaVA-Bench needs questions.jsonl and the folder images of "
    "https://huggingface.co/datasets/liuhaotian/llava-bench-in-the-wild."
)
_MAX_TOKENS = 1024  # as in LLaVA's own script


@dataclass(frozen=True, kw_only=True)
class LlavaBench(Judged):
    """LLaVA's script (eval_gpt_review_bench.py) asks a judge about a file of answers.

    The script reads that file and the questions side by side, so after a gap it would compare
    answers with the wrong questions.
    """

    suffix: ClassVar[str] = "jsonl"

    name: str = "llava-bench"

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


def load_llava_bench(folder: Path) -> LlavaBench:
    """Read `questions.jsonl` and the images.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "LLaVA-Bench", _ADVICE)
    pictures = files.find("images")
    questions = []
    for name, record in unique(json_lines(files.find("questions.jsonl")), "question_id"):
        image = record.text("image")
        questions.append(
            Question(
                id=name,
                text=record.text("text"),
                images=(pictures / image,),
                group=image,
                max_tokens=_MAX_TOKENS,
            )
        )
    return LlavaBench(questions=files.checked(questions))
