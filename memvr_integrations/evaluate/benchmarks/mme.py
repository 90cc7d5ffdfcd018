"""MME: two yes/no questions about every image, in fourteen categories (arXiv 2306.13394)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import (
    Marked,
    Question,
    by_group,
    complete,
    percentages,
)
from memvr_integrations.evaluate.benchmarks.published_files import Folder, is_file, text_lines

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = (
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
)
_ADVICE = (
    "MME needs the folder MME_Benchmark_release_version; "
    "https://github.com/BradyFU/Awesome-Multimodal-Large-Language-Models/tree/Evaluation says how "
    "to ask for it."
)
_PICTURES = (".jpg", ".png", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class Mme(Marked):
    """A category's score is acc + acc+, at most 200; acc+ asks for both answers of an image.

    `perception`, `cognition` and `total` are sums of scores, at most 2000, 800 and 2800; they are
    left out as long as a category has no answer.
    """

    truths: Mapping[str, bool]

    def is_right(self, question: Question, answer: str) -> bool:
        """Each of the two questions by itself."""
        return read_answer(answer) == self.truths[question.id]

    def mark(self, question: Question, answer: str) -> dict[str, int]:
        """By category."""
        category = _category(question.group)
        return {
            f"{category}/asked": 1,
            f"{category}/right": self.is_right(question, answer),
            "yes": read_answer(answer) is True,
        }

    def marks(self, answers: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Counts by image, of images with an answer."""
        marks = super().marks(answers)
        for image, both in complete(by_group(self.questions), self.right(answers)).items():
            marks[image][f"{_category(image)}/images"] += 1
            marks[image][f"{_category(image)}/both"] += both
        return marks

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Per category acc, acc+ and score, and the sums."""

        def count(name: str) -> int:
            return counts.get(name, 0)

        figures: dict[str, float] = {}
        for one in (*PERCEPTION, *COGNITION):
            shares = percentages(
                {
                    f"{one}/acc": (count(f"{one}/right"), count(f"{one}/asked")),
                    f"{one}/acc+": (count(f"{one}/both"), count(f"{one}/images")),
                }
            )
            figures |= shares
            if len(shares) == 2:
                figures[f"{one}/score"] = sum(shares.values())
        sums = {"perception": PERCEPTION, "cognition": COGNITION}
        for name, categories in (sums | {"total": PERCEPTION + COGNITION}).items():
            if all(f"{one}/score" in figures for one in categories):
                figures[name] = sum(figures[f"{one}/score"] for one in categories)
        asked = sum(count(f"{one}/asked") for one in (*PERCEPTION, *COGNITION))
        return figures | percentages({"yes ratio": (count("yes"), asked)})

    def truth(self, question: Question) -> str:
        """Yes or no."""
        return "yes" if self.truths[question.id] else "no"


def read_answer(answer: str) -> bool | None:
    """As MME's own script reads it: yes or no within the first four letters, yes before no."""
    begin = answer.strip().lower()[:4]
    return True if "yes" in begin else False if "no" in begin else None


def load_mme(folder: Path) -> Mme:
    """Read the folder `MME_Benchmark_release_version`, or one that holds it.

    A category has its texts and images side by side, or in `questions_answers_YN` and `images`.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "MME", _ADVICE)
    nested = "MME_Benchmark_release_version"
    base = files.maybe(f"{nested}/MME_Benchmark", nested, "MME_Benchmark") or folder
    files = Folder(base, "MME", _ADVICE)
    questions: list[Question] = []
    truths: dict[str, bool] = {}
    for category in (*PERCEPTION, *COGNITION):
        place = files.find(category)
        within = place / "questions_answers_YN"
        texts = sorted((within if within.is_dir() else place).glob("*.txt"))
        if not texts:
            raise BenchmarkError(f"{place}: there are no questions in it. {_ADVICE}")
        for text in texts:
            image = _image_of(text, place)
            for number, (question, truth) in enumerate(_questions(text), start=1):
                name, group = f"{category}/{image.name}/{number}", f"{category}/{image.name}"
                questions.append(Question(id=name, text=question, images=(image,), group=group))
                truths[name] = truth
    return Mme(name="mme", questions=files.checked(questions), truths=truths)


def _image_of(text: Path, category: Path) -> Path:
    places = (category / "images", category)
    named = [place / (text.stem + ending) for place in places for ending in _PICTURES]
    return next((image for image in named if is_file(image)), named[0])


def _questions(text: Path) -> Iterator[tuple[str, bool]]:
    lines = list(text_lines(text))
    if len(lines) != 2:
        raise BenchmarkError(f"{text}: there are {len(lines)} questions about an image, not two")
    for line, place in lines:
        question, tab, truth = line.rstrip().partition("\t")
        if not tab or truth.strip().lower() not in ("yes", "no"):
            raise BenchmarkError(f"{place}: this is no question, tab, and Yes or No: {line!r}")
        yield question, truth.strip().lower() == "yes"


def _category(group: str) -> str:
    return group.partition("/")[0]
