"""Reads a file of one's own: CSV as spreadsheets write it, or JSON lines; errors name the line."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.published_files import Record, objects, placed_lines

NEEDED = ("image", "question", "answer")
COLUMNS = (*NEEDED, "choices", "id", "kind")
LISTS = ("answer", "choices")
"""Columns that may hold several texts: with "|" between them in CSV, as a list in JSONL."""

_DELIMITERS = ",;\t"
_ADVICE = (
    "Save it as UTF-8: in Excel as 'CSV UTF-8 (Comma delimited)', in an editor with the encoding "
    "UTF-8."
)
_SPREADSHEET = b"PK\x03\x04"  # as .xlsx and .ods begin


def records(path: Path, data: bytes) -> Iterator[Record]:
    """The rows of a file, with the names of their columns in small letters.

    Raises:
        BenchmarkError: It is no UTF-8, no CSV or JSONL, or lacks a column.
    """
    text = decoded(path, data)
    return _csv(path, text) if path.suffix.lower() == ".csv" else _json_lines(path, text)


def decoded(path: Path, data: bytes) -> str:
    """The text of a file, without the mark that some editors begin it with.

    Raises:
        BenchmarkError: It is no UTF-8; the message says where, and how to mend it.
    """
    if data.startswith(_SPREADSHEET):
        raise BenchmarkError(
            f"{path} is a spreadsheet or an archive and no text. Export it as 'CSV UTF-8 (Comma "
            "delimited)'."
        )
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        raise BenchmarkError(f"{path} is no UTF-8; it seems to be UTF-16. {_ADVICE}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        byte = data[problem.start : problem.start + 1]
        shown = byte.decode("cp1252", "replace")
        raise BenchmarkError(
            f"{path}, line {line}: the byte 0x{byte.hex()} is no UTF-8 (in Windows-1252 it would "
            f"be {shown!r}). {_ADVICE}"
        ) from None


def _csv(path: Path, text: str) -> Iterator[Record]:
    # All kinds of line ends become one, so that csv counts lines as editors do.
    lines, delimiter = io.StringIO(text, newline=None), _delimiter(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    names: list[str] | None = None
    line = 1
    try:
        for row in reader:
            cells, place = [cell.strip() for cell in row], f"{path}, line {line}"
            line = reader.line_num + 1
            named = names is None and [one.lower() for one in cells] == ["sep=", ""]
            if named or not any(cells):  # Excel writes "sep=;" before the names
                continue
            if names is None:
                names = _names(cells, place)
            else:
                yield Record(_fields(names, cells, place), place)
    except csv.Error as problem:
        raise BenchmarkError(
            f"{path}, line {line}: this is no CSV ({problem}). A text that holds {delimiter!r} or "
            'a quotation mark stands in quotation marks, and each of its own is doubled: "".'
        ) from None
    if names is None:
        raise BenchmarkError(
            f"{path} is empty. Its first line has to name the columns: {', '.join(NEEDED)}."
        )


def _delimiter(text: str) -> str:
    """What stands between columns: with which of them the first line names most that we know."""
    lines = [line for line in text.splitlines()[:9] if line.strip()]
    if not lines:
        return ","
    if lines[0][:4].lower() == "sep=" and len(lines[0].strip()) == 5:
        return lines[0][4]

    def known(delimiter: str) -> int:
        names = {cell.strip(' "').lower() for cell in lines[0].split(delimiter)}
        return len(names.intersection(COLUMNS))

    return max(_DELIMITERS, key=known)


def _names(cells: Sequence[str], place: str) -> list[str]:
    names = [cell.lower() for cell in cells]
    for name in names:
        if name and names.count(name) > 1:
            raise BenchmarkError(f"{place}: the column {name!r} is there twice; rename one of them")
    for name in NEEDED:
        if name not in names:
            there = ", ".join(repr(one) for one in names if one)
            raise BenchmarkError(
                f"{place}: there is no column {name!r}; there are {there}. Name the columns in "
                f"the first line: {', '.join(NEEDED)}, and if needed choices, id and kind"
            )
    return names


def _fields(names: Sequence[str], cells: Sequence[str], place: str) -> dict[str, object]:
    if any(cells[len(names) :]):
        raise BenchmarkError(
            f"{place}: there are {len(cells)} cells, and the first line names {len(names)} "
            "columns; put a text that holds the mark between columns into quotation marks"
        )
    fields: dict[str, object] = {}
    for name, cell in zip(names, cells, strict=False):
        if name in LISTS and cell:
            fields[name] = [one.strip() for one in cell.split("|")]
        elif name and cell:
            fields[name] = cell
    return fields


def _json_lines(path: Path, text: str) -> Iterator[Record]:
    for record in objects(placed_lines(text, path)):
        fields: dict[str, object] = {}
        for name, value in record.fields.items():
            small = name.strip().lower()
            if small in fields:
                raise record.wrong(f"the field {small!r} is there twice; rename one of them")
            fields[small] = value
        yield Record(
            {name: value for name, value in fields.items() if value is not None}, record.place
        )
