"""Tables that name pictures: CSV, TSV and Parquet files, read row by row."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.collections.metadata import Metadata, plain_cell
from memvr_integrations.grounding.collections.sources import Source, is_file

TABLES = (".csv", ".tsv", ".parquet")
"""The endings of files that are read as tables."""

Row = Mapping[str, object]


def rows_of(table: Path, column: str) -> "Iterator[tuple[Source, Metadata]]":
    """Each row's picture, and what the other columns say of it.

    Paths are taken from the table's own folder on. A cell of a Parquet file may also hold an
    encoded picture, or Hugging Face's dict of `bytes` and `path`.

    Raises:
        ConfigError: There is no such column, the file can't be read, or Parquet's reader isn't
            there.
    """
    rows = _parquet(table, column) if table.suffix.lower() == ".parquet" else _csv(table, column)
    for row in rows:
        said = {str(name): plain_cell(value) for name, value in row.items() if name != column}
        yield _picture(row[column], table.parent), said


def _csv(table: Path, column: str) -> Iterator[Row]:
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            dialect = "excel-tab" if table.suffix.lower() == ".tsv" else "excel"
            reader = csv.DictReader(file, dialect=dialect)
            _check_column(table, column, reader.fieldnames or ())
            for row in reader:
                # What stands beyond the last column has no name.
                yield {name: value for name, value in row.items() if name is not None}
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise ConfigError(f"{table} can't be read as a table: {problem}.") from problem


def _parquet(table: Path, column: str) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as missing:
        raise ConfigError(
            f"{table} needs pyarrow: pip install pyarrow, or save the table as CSV."
        ) from missing
    try:
        with ParquetFile(table) as file:
            _check_column(table, column, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=64):  # pictures need not fit into memory
                yield from batch.to_pylist()
    except (OSError, ArrowException) as problem:
        raise ConfigError(f"{table} can't be read as Parquet: {problem}.") from problem


def _check_column(table: Path, column: str, known: Sequence[str]) -> None:
    if column not in known:
        raise ConfigError(
            f"{table} has no column {column!r} but {', '.join(map(str, known)) or 'none'}; name "
            "the one with the images as image_column=."
        )


def _picture(cell: object, folder: Path) -> Source:
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    text = str(cell or "").strip()
    if not is_file(text) or text[:5].lower() == "data:":
        return text
    return folder / text  # an absolute path stays one
