"""One benchmark, one model, several ways of decoding: asked, compared, written down."""

import datetime
import hashlib
import json
import os
import platform
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import torch

from memvr_integrations import __version__
from memvr_integrations.errors import BenchmarkError, ConfigError, MemVRWarning
from memvr_integrations.evaluate.benchmarks.benchmark import (
    Benchmark,
    FromFile,
    Question,
    Submission,
)
from memvr_integrations.evaluate.running.asking import Asking, Strategy
from memvr_integrations.evaluate.running.report.asked import asked_questions
from memvr_integrations.evaluate.running.report.line import Line
from memvr_integrations.evaluate.running.report.page import as_html
from memvr_integrations.evaluate.running.report.questions import paged, way_to, write_pages
from memvr_integrations.evaluate.running.report.text import as_markdown, as_text
from memvr_integrations.evaluate.running.runs import Answer, Run
from memvr_integrations.evaluate.running.statistics import intervals, mcnemar, paired_differences
from memvr_integrations.types.engine import Engine

TABLE, PAGE, FIGURES = "table.txt", "report.html", "figures.jsonl"
MARKDOWN = "table.md"
SUBMISSIONS = "answers_files"
_FEW = 30  # groups, below which resampling them says little of other ones
_UNSURE = 0.5  # where a model has no threshold of its own


def evaluate(
    engine: Engine,
    benchmark: Benchmark,
    strategies: Sequence[Strategy],
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    limit: int | None = None,
    batch: int = 8,
    retry: bool = False,
    progress: bool = True,
) -> list[Line]:
    """Ask what was not answered yet, and compare all strategies with the first.

    `folder` keeps every answer, and gets a table, a page, pages of all questions, the figures, and
    for a benchmark with a server or a judge of its own the files that these take. With `limit`,
    only the questions about the first `limit` groups are asked. With `retry`, those that failed
    are asked again.

    Raises:
        ConfigError: The folder holds another evaluation, or another process is at it.
        BackendClosedError: The model is gone; what was answered is kept.
    """
    questions = first_groups(benchmark.questions, limit)
    _check(questions, strategies, seeds)
    run = Run(
        folder,
        {
            **identity(benchmark, questions),
            "questions": len(questions),
            "model": engine.name,
            "version": __version__,
        },
        ways={strategy.name: strategy.to_dict() for strategy in strategies},
        retry=retry,
    )
    asking = Asking(engine, run, batch=batch, progress=progress)
    with run.alone():
        asking.ask(questions, strategies, seeds)
        lines = compare(benchmark, run, [strategy.name for strategy in strategies], seeds)
        lines = [replace(line, peak_bytes=asking.peak_bytes.get(line.strategy)) for line in lines]
        unsure = _UNSURE if engine.abstention is None else engine.abstention
        _write(run, benchmark, questions, lines, seeds, unsure=unsure, progress=progress)
        if isinstance(benchmark, Submission):
            _write_submissions(run, benchmark, [line.strategy for line in lines], seeds)
    return lines


def _check(
    questions: Sequence[Question], strategies: Sequence[Strategy], seeds: Sequence[int]
) -> None:
    """Refuse what would fail at every question.

    Raises:
        ConfigError: There is such a thing.
    """
    for way in strategies:
        if way.memvr is not None and way.memvr.control == "shuffled":
            shown = {question.group for question in questions if question.images}
            if len(shown) < 2:
                raise ConfigError(
                    f"{way.name!r} retraces another image, and there are {len(shown)} here; ask "
                    "about two or more, or leave it out."
                )
        for seed in seeds:
            way.request(questions[0], seed, questions[0].images)


def compare(
    benchmark: Benchmark,
    run: Run,
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    only: Set[str] | None = None,
) -> list[Line]:
    """Every strategy's figures, and their paired differences to the first strategy's.

    A question that one strategy has no answer to counts for none, and a strategy that has no
    answer at all has no figures. `only` says which questions count, None that all do.
    """
    common = answered_by_all(run, names, seeds, only)
    marks = {name: marks_of(benchmark, run, name, common) for name in names}
    right = {name: _right(benchmark, run, name, common) for name in names}
    first = names[0]
    lines = []
    for name in names:
        compared = name != first
        before, after = right[first], right[name]
        line = Line(
            strategy=name,
            figures=intervals(benchmark.figures, marks[name]),
            changes=(
                paired_differences(benchmark.figures, marks[first], marks[name])
                if compared and marks[name]
                else {}
            ),
            p=mcnemar(before, after).p if compared and before and after else None,
            other=_unlike(run, first, name, seeds) if compared else None,
        )
        answers = [one for one in run if one.strategy == name and one.seed in seeds]
        lines.append(_costed(line, answers))
    return lines


def answered_by_all(
    run: Run, names: Sequence[str], seeds: Sequence[int], only: Set[str] | None = None
) -> dict[int, Set[str]]:
    """By seed, the questions that every strategy has answered; of `only`, where it is given.

    A strategy that has answered nothing at all is passed over.
    """
    able = [name for name in names if any(run.texts(name, seed) for seed in seeds)] or names
    common: dict[int, Set[str]] = {}
    for seed in seeds:
        kept = set.intersection(*(set(run.texts(name, seed)) for name in able))
        common[seed] = kept if only is None else kept & only
    return common


def marks_of(
    benchmark: Benchmark, run: Run, name: str, common: Mapping[int, Set[str]]
) -> dict[str, Counter[str]]:
    """Counts by group, summed over seeds: a group's answers are resampled together."""
    sums: dict[str, Counter[str]] = {}
    for seed, kept in common.items():
        texts = {one: text for one, text in run.texts(name, seed).items() if one in kept}
        for group, counts in benchmark.marks(texts).items():
            sums.setdefault(group, Counter()).update(counts)
    return sums


def _right(
    benchmark: Benchmark, run: Run, name: str, common: Mapping[int, Set[str]]
) -> dict[str, bool]:
    """Which questions are answered right under more than half of the seeds that answer them.

    One verdict a question, for McNemar's test takes them as independent.
    """
    verdicts: dict[str, list[bool]] = {}
    for seed, kept in common.items():
        texts = {one: text for one, text in run.texts(name, seed).items() if one in kept}
        for question, value in benchmark.right(texts).items():
            verdicts.setdefault(question, []).append(value)
    return {question: 2 * sum(seeds) > len(seeds) for question, seeds in verdicts.items()}


def _unlike(run: Run, first: str, name: str, seeds: Sequence[int]) -> tuple[int, int] | None:
    """How many answers are not the first strategy's to the letter, of those that both gave."""
    pairs = [
        (before[one], text)
        for seed in seeds
        for before in [run.texts(first, seed)]
        for one, text in run.texts(name, seed).items()
        if one in before
    ]
    return (sum(old != new for old, new in pairs), len(pairs)) if pairs else None


def _costed(line: Line, answers: Sequence[Answer]) -> Line:
    given = [answer for answer in answers if answer.error is None]
    tokens = sum(answer.tokens for answer in given)
    seconds = sum(answer.seconds for answer in given)
    return replace(
        line,
        answered=len(given),
        failed=len(answers) - len(given),
        length=tokens / max(len(given), 1),
        retraced=sum(answer.retraced for answer in given) / max(tokens, 1),
        tokens_per_second=tokens / seconds if seconds else 0.0,
    )


def first_groups(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """The questions about the first `limit` groups; all where there is no limit."""
    if limit is None:
        return list(questions)
    kept = set(list(dict.fromkeys(question.group for question in questions))[:limit])
    return [question for question in questions if question.group in kept]


def _questions_digest(questions: Sequence[Question]) -> str:
    """What sets these questions apart from others, pictures by their names alone."""
    parts = [
        [one.id, one.text, one.group, [str(i) for i in one.images if isinstance(i, Path)]]
        for one in questions
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def identity(benchmark: Benchmark, questions: Sequence[Question]) -> dict[str, str]:
    """What a plan says of a benchmark: a file of one's own counts by its content alone."""
    if isinstance(benchmark, FromFile):
        return {"benchmark": "a file of one's own", "digest": benchmark.content_hash}
    return {"benchmark": benchmark.name, "digest": _questions_digest(questions)}


def _write(
    run: Run,
    benchmark: Benchmark,
    questions: Sequence[Question],
    lines: Sequence[Line],
    seeds: Sequence[int],
    *,
    unsure: float,
    progress: bool,
) -> None:
    groups = len({question.group for question in questions})
    about = (
        f"{benchmark.name}, {len(questions)} questions in {groups} groups, "
        f"seeds {list(seeds)}, {run.plan['model']}. {machine()}. "
        "95 % intervals by bootstrap over groups; differences are paired."
    )
    if groups < _FEW:
        about += f" Of {groups} groups, intervals come out too narrow: {_FEW} or more are needed."
    if isinstance(benchmark, FromFile):
        about += f" {benchmark.about}."
    title = f"{benchmark.name}: {run.plan['model']}"
    (run.folder / TABLE).write_text(as_text(lines, about) + "\n", encoding="utf-8")
    (run.folder / MARKDOWN).write_text(f"{as_markdown(lines)}\n\n{about}\n", encoding="utf-8")
    names = [line.strategy for line in lines]
    asked = asked_questions(benchmark, run, questions, names, seeds)
    pages = paged(asked)
    write_pages(run.folder, pages, title, unsure=unsure, progress=progress)
    page = as_html(lines, title, about, questions=way_to(asked, pages))
    (run.folder / PAGE).write_text(page, encoding="utf-8")
    written = (json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in lines)
    (run.folder / FIGURES).write_text("".join(written), encoding="utf-8")


def _write_submissions(
    run: Run, benchmark: Submission, names: Sequence[str], seeds: Sequence[int]
) -> None:
    """The files for a benchmark's own server or judge; those that lack answers are left out."""
    for name in names:
        for seed in seeds:
            path = run.folder / SUBMISSIONS / f"{name}-{seed}.{benchmark.suffix}"
            path.parent.mkdir(exist_ok=True)
            try:
                text = benchmark.answers_file(
                    run.texts(name, seed), model=f"{run.plan['model']}-{name}"
                )
            except BenchmarkError as error:
                warnings.warn(f"{path} can't be written: {error}", MemVRWarning, stacklevel=3)
            else:
                path.write_text(text, encoding="utf-8")


def machine() -> str:
    """Date, cores, device and versions, for a table's foot."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{datetime.date.today()}, {os.cpu_count()} CPU cores ({platform.machine()}), {device}, "
        f"torch {torch.__version__}, transformers {version('transformers')}"
    )
