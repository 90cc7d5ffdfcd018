"""Reads the files that benchmarks publish; every error names the file and the line.

Whatever is wrong with a file is a BenchmarkError here, so that loaders say only what they expect.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import Question

_DECODER = json.JSONDecoder()
_BLANK = " \t\r\n"
_LONGEST_NAME = 255  # as systems have it for files; longer numbers Python would not read


@dataclass(frozen=True)
class Record:
    """The named fields of one entry, and the `place` where it stands."""

    fields: Mapping[str, object]
    place: str

    def wrong(self, what: str) -> BenchmarkError:
        """An error about this entry, to be raised."""
        return BenchmarkError(f"{self.place}: {what}")

    def text(self, field: str) -> str:
        """A field that must be a text; numbers that stand for a name are taken as one."""
        value = self.fields.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self._unlike(field, "a text")
        return value

    def number(self, field: str) -> int:
        """A field that must be a whole number."""
        value = self.fields.get(field)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._unlike(field, "a whole number")
        return value

    def choice(self, field: str, choices: Sequence[str]) -> str:
        """A text that must be one of `choices`, in any case of letters; as `choices` has it."""
        value = self.text(field).strip()
        for one in choices:
            if value.lower() == one.lower():
                return one
        raise self.wrong(f"{field!r} is {value!r}, not one of {', '.join(choices)}")

    def texts(self, field: str) -> list[str]:
        """A field that must be a list of texts."""
        value = self.fields.get(field)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._unlike(field, "a list of texts")
        return value

    def records(self, field: str) -> list["Record"]:
        """A field that must be a list of objects."""
        value = self.fields.get(field)
        if not isinstance(value, list):
            raise self._unlike(field, "a list")
        return [
            as_record(one, f"{self.place}, {field} {number}")
            for number, one in enumerate(value, start=1)
        ]

    def _unlike(self, field: str, kind: str) -> BenchmarkError:
        if field not in self.fields:
            return self.wrong(f"there is no field {field!r}")
        return self.wrong(f"{field!r} is {str(self.fields[field])[:60]!r}, not {kind}")


@dataclass(frozen=True)
class Folder:
    """A benchmark's files as the user has them; `advice` says where they can be had."""

    path: Path
    benchmark: str
    advice: str

    def __post_init__(self) -> None:
        if not os.path.isdir(self.path):
            raise BenchmarkError(
                f"{self.benchmark}: {str(self.path)!r} is no folder. {self.advice}"
            )

    def find(self, *names: str) -> Path:
        """The first of some files or folders that is there; else an error with the advice."""
        found = self.maybe(*names)
        if found is None:
            wanted = " or ".join(repr(name) for name in names)
            raise BenchmarkError(
                f"{self.benchmark}: there is no {wanted} in {str(self.path)!r}. {self.advice}"
            )
        return found

    def maybe(self, *names: str) -> Path | None:
        """The first of some files or folders that is there, or None."""
        return next((self.path / name for name in names if (self.path / name).exists()), None)

    def checked(self, questions: Sequence[Question]) -> tuple[Question, ...]:
        """The questions, if there are any and all their images are there.

        A run must not stop at a missing image after hours.
        """
        if not questions:
            raise BenchmarkError(
                f"{self.benchmark}: the files in {str(self.path)!r} hold no question. {self.advice}"
            )
        needed = {one for question in questions for one in question.images if isinstance(one, Path)}
        missing = sorted(image for image in needed if not is_file(image))
        if missing:
            raise BenchmarkError(
                f"{self.benchmark}: {len(missing)} of {len(needed)} images are missing, the first "
                f"is {str(missing[0])!r}. {self.advice}"
            )
        return tuple(questions)


def is_file(path: Path) -> bool:
    """Whether a file lies there; no file has a name that is too long for the system."""
    return os.path.isfile(path)


def json_lines(path: Path) -> Iterator[Record]:
    """The objects of a file with one on each line; empty lines are skipped."""
    yield from objects(text_lines(path))


def objects(lines: Iterable[tuple[str, str]]) -> Iterator[Record]:
    """The objects of lines, each of which comes with its place."""
    for line, place in lines:
        if line.lstrip().startswith("["):
            raise BenchmarkError(
                f"{place}: this is no object but begins a list; write one object on each line, "
                "without brackets and commas around"
            )
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise BenchmarkError(f"{place}: this is no JSON: {problem}") from problem
        yield as_record(value, place)


def json_list(path: Path) -> Iterator[Record]:
    """The objects of a file that holds one list of them, each placed by its own line."""
    text = _read(path)
    at, line, seen = _skip(text, 0), 1, 0
    if text[at : at + 1] != "[":
        raise BenchmarkError(
            f"{path}: this is no JSON list; it begins with {text[at : at + 20]!r}. Write its "
            "entries as [{...}, {...}]"
        )
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line, seen = line + text.count("\n", seen, at), at
        place = f"{path}, line {line}"
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as problem:
            raise BenchmarkError(f"{place}: this is no JSON: {problem}") from problem
        yield as_record(value, place)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise BenchmarkError(f"{place}: after this entry there is neither ',' nor ']'")
    if rest := text[at + 1 :].strip():
        raise BenchmarkError(f"{path}: after the list there is more: {rest[:20]!r}; get it again")


def json_object(path: Path) -> Record:
    """The one object that a file holds."""
    text = _read(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as problem:
        line = f", line {problem.lineno}" if isinstance(problem, json.JSONDecodeError) else ""
        raise BenchmarkError(f"{path}{line}: this is no JSON: {problem}") from problem
    return as_record(value, str(path))


def table(path: Path, *, delimiter: str = ",") -> Iterator[Record]:
    """The rows of a table whose first line names the columns."""
    reader = csv.DictReader(io.StringIO(_read(path)), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            # A row that is too short has None in the columns that it lacks.
            fields = {name: value for name, value in row.items() if value is not None}
            yield Record(fields, f"{path}, line {reader.line_num}")
    except csv.Error as problem:
        raise BenchmarkError(f"{path}, line {reader.line_num}: {problem}") from problem


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that hold anything, each with its place."""
    yield from placed_lines(_read(path), path)


def placed_lines(text: str, path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file's text that hold anything, each with its place."""
    # Not splitlines: it also splits at marks that may stand within a JSON text.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield line, f"{path}, line {number}"


def as_record(value: object, place: str) -> Record:
    """What JSON calls an object, with the place where it stands."""
    if not isinstance(value, dict):
        raise BenchmarkError(f"{place}: this is no object with named fields: {str(value)[:60]!r}")
    return Record(value, place)


def unique(records: Iterable[Record], field: str) -> Iterator[tuple[str, Record]]:
    """Records with what names them, which must not come twice."""
    seen: dict[str, str] = {}
    for record in records:
        name = record.text(field)
        if len(name) > _LONGEST_NAME:
            raise record.wrong(
                f"{field} {name[:20]!r}... has {len(name)} characters; what names an entry has "
                f"{_LONGEST_NAME} at most"
            )
        if name in seen:
            raise record.wrong(
                f"{field} {name!r} was there before ({seen[name]}); each entry needs its own"
            )
        seen[name] = record.place
        yield name, record


def _read(path: Path) -> str:
    try:
        # Some editors begin a file with a byte order mark, which is no JSON.
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise BenchmarkError(f"{path}: cannot be read: {problem}") from problem


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at
