"""One SQLite file: what is written is on disk at once, and many threads may read."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

from memvr_integrations.errors import ConfigError, RequestError

_PATIENCE = 60  # seconds
Value: TypeAlias = str | bytes | int | float | None

_ADVICE = {
    "SQLITE_FULL": "Make room on its disk, and go on; what was written before is kept.",
    "SQLITE_BUSY": "Another process is writing to it; wait until that is done.",
}


class Database:
    """A file of tables; safe against being killed at any time.

    Raises:
        ConfigError: The file can't be opened, or holds something else.
        RequestError: It was closed.
    """

    def __init__(self, path: str | Path, *tables: str) -> None:
        """`path` is a file, or ":memory:"; `tables` are made where they are missing."""
        self._path, self._closed, self._lock = str(path), False, threading.RLock()
        with self._errors_of_sqlite():
            if self._path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, check_same_thread=False)
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                with self._db:
                    for table in tables:
                        self._db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
                self._version = self._read_version()
            except sqlite3.Error:
                self._db.close()
                raise

    def read(self, query: str, values: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        """The rows that a query gives."""
        with self._errors_of_sqlite(), self._lock:
            return self._db.execute(query, values).fetchall()

    def write(self, query: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a query for each row, all or none; it is on disk when this returns."""
        with self._errors_of_sqlite(), self._lock, self._db:
            self._db.executemany(query, rows)

    def changed_elsewhere(self) -> bool:
        """Whether another process wrote to the file since this was asked last."""
        with self._errors_of_sqlite(), self._lock:
            before, self._version = self._version, self._read_version()
        return before != self._version

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others, of any process, out of what they do alone; one that is killed lets go.

        The file itself can be read and written meanwhile.
        """
        with self._errors_of_sqlite():
            lock = sqlite3.connect(f"{self._path}-alone", timeout=_PATIENCE, isolation_level=None)
        with closing(lock):
            with self._errors_of_sqlite():
                lock.execute("BEGIN EXCLUSIVE")
            yield

    def close(self) -> None:
        """Close the file."""
        with self._lock:  # SQLite crashes where another thread is in the midst of a statement
            self._closed = True
            self._db.close()

    def _read_version(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def _errors_of_sqlite(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as problem:
            if self._closed:
                raise RequestError(
                    f"{self._path} was closed with its collection; open it again with "
                    "ImageCollectionIndex.open(persist_dir)."
                ) from problem
            advice = _ADVICE.get(
                getattr(problem, "sqlite_errorname", ""),
                "Give another file or folder; if this one is damaged, delete it, and its images "
                "are described anew.",
            )
            raise ConfigError(f"{self._path} can't be used: {problem}. {advice}") from problem
