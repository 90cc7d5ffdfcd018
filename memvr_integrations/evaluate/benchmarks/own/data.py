"""A benchmark out of a file of one's own, with a picture, a question and an answer in each row."""

import hashlib
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from memvr_integrations.errors import BenchmarkError, ImageError, MemVRWarning, did_you_mean
from memvr_integrations.evaluate.benchmarks.benchmark import Marked, Question, percentages
from memvr_integrations.evaluate.benchmarks.own.kinds import KINDS, Truth, truth_of
from memvr_integrations.evaluate.benchmarks.own.rows import COLUMNS, NEEDED, records
from memvr_integrations.evaluate.benchmarks.published_files import Record, unique
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import (
    count_answer,
    figures_of,
    yes_or_no,
)

SUFFIXES = (".csv", ".jsonl")
_YES_NO = "yes-no"


@dataclass(frozen=True, kw_only=True)
class OwnData(Marked):
    """Questions of one's own, each judged by its kind; `truths` by question id."""

    truths: Mapping[str, Truth]
    content_hash: str

    def mark(self, question: Question, answer: str) -> Counter[str]:
        """What was asked and what is right, of all questions and of each kind."""
        truth = self.truths[question.id]
        right = truth.judged(answer)
        counts = Counter({"asked": 1, "right": int(right is True)})
        if truth.kind == "yes/no":
            said = yes_or_no(answer)
            count_answer(counts, _YES_NO, truth=truth.accepted == ("yes",), said=said)
        else:
            counts[f"{truth.kind} asked"] += 1
            counts[f"{truth.kind} right"] += right is True
            counts[f"{truth.kind} unsure"] += right is None
        return counts

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Accuracy over all questions where several kinds are asked, then the figures by kind."""
        figures: dict[str, float] = {}
        if len({truth.kind for truth in self.truths.values()}) > 1:
            figures = percentages({"accuracy": (counts.get("right", 0), counts.get("asked", 0))})
        figures |= figures_of(counts, _YES_NO)
        choices, texts = counts.get("choice asked", 0), counts.get("text asked", 0)
        return figures | percentages(
            {
                "choice/accuracy": (counts.get("choice right", 0), choices),
                "choice/unsure": (counts.get("choice unsure", 0), choices),
                "text/accuracy": (counts.get("text right", 0), texts),
            }
        )

    def is_right(self, question: Question, answer: str) -> bool:
        """Every question; an answer that can't be read is wrong."""
        return self.truths[question.id].judged(answer) is True

    def truth(self, question: Question) -> str:
        """The answer that is right, or several."""
        return str(self.truths[question.id])

    def kind(self, question: Question) -> str:
        """How answers are judged, and whether that follows from the row or stands in it."""
        truth = self.truths[question.id]
        return f"{truth.kind}, {'derived from the row' if truth.derived else 'as the file says'}"

    @property
    def about(self) -> str:
        """How many questions there are of each kind, and of how many the file doesn't say it."""
        counts = Counter(truth.kind for truth in self.truths.values())
        kinds = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
        derived = sum(truth.derived for truth in self.truths.values())
        images = len({question.group for question in self.questions})
        return (
            f"{self.name}: {_counted(len(self.questions), 'question')} about "
            f"{_counted(images, 'picture')}: {kinds}; {_counted(derived, 'kind')} derived from "
            f"rows, {len(self.questions) - derived} named by the file"
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def is_own(name: str) -> bool:
    """Whether a benchmark's name is that of a file."""
    return Path(name).suffix.lower() in SUFFIXES


def load_own(path: Path) -> OwnData:
    """Read a CSV or JSONL file; pictures are found from the folder that it lies in.

    All pictures are opened, so that a run doesn't fail at one after hours.

    Raises:
        BenchmarkError: The file or a picture can't be read, or a row is not as it should be; the
            message says which, and what to do.
    """
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise BenchmarkError(
            f"{path} can't be read ({problem.strerror}); give the path of a "
            f"{' or '.join(SUFFIXES)} file."
        ) from None
    rows = dict(unique(_named(records(path, data)), "id"))
    if not rows:
        raise BenchmarkError(f"{path} has no rows; write one for each question.")
    _name_unused(path, rows.values())
    truths, questions, seen = dict[str, Truth](), list[Question](), dict[Path, str]()
    for name, row in rows.items():
        for column in NEEDED:
            value = row.fields.get(column)
            if value is None or value == [] or (isinstance(value, str) and not value.strip()):
                raise row.wrong(f"{column!r} is missing or empty; write it, or leave the row out")
        truths[name] = truth_of(row)
        image = _picture(row, path.parent)
        if image not in seen:
            seen[image] = (
                str(image.relative_to(path.parent))
                if image.is_relative_to(path.parent)
                else str(image)
            )
            _check_readable(row, image)
        questions.append(
            Question(
                id=name,
                text=truths[name].asked(row.text("question").strip()),
                images=(image,),
                group=seen[image],
            )
        )
    return OwnData(
        name=path.name,
        questions=tuple(questions),
        truths=truths,
        content_hash=hashlib.sha256(data).hexdigest(),
    )


def _named(rows: Iterable[Record]) -> Iterator[Record]:
    """Rows that all have an id: where they lie in the file, if they say nothing else."""
    for row in rows:
        yield Record({"id": row.place.rpartition(", ")[2]} | dict(row.fields), row.place)


def _name_unused(path: Path, rows: Iterable[Record]) -> None:
    unused = {name for row in rows for name in row.fields} - set(COLUMNS)
    if unused:
        near = "".join(did_you_mean(name, COLUMNS) for name in sorted(unused))
        warnings.warn(
            f"{path}: not used: {', '.join(map(repr, sorted(unused)))}; columns that are: "
            f"{', '.join(COLUMNS)}.{near}",
            MemVRWarning,
            stacklevel=3,
        )


def _picture(row: Record, folder: Path) -> Path:
    written = row.text("image").strip()
    if "://" in written:
        raise row.wrong(
            f"'image' is {written[:80]!r}, an address; save the picture and write its path"
        )
    forms = [written, written.replace("\\", "/")]
    # Systems disagree on how an accent in a file's name is written.
    forms += [unicodedata.normalize(form, forms[1]) for form in ("NFC", "NFD")]
    for form in forms:
        if os.path.isfile(path := folder / os.path.normpath(form)):
            return path
    raise row.wrong(
        f"'image' is {written!r}, and there is no such file; paths start from the folder "
        f"{str(folder)!r}, in which this file lies"
    )


def _check_readable(row: Record, image: Path) -> None:
    from memvr_integrations.backend.images import load_image

    try:
        load_image(image)
    except ImageError as problem:
        raise row.wrong(
            f"'image' can't be used: {problem}; save it anew, or leave the row out"
        ) from None
