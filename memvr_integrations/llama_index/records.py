"""What a collection knows of its images, on disk: nothing is lost when it is killed."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from llama_index.core.schema import ImageNode

from memvr_integrations.llama_index.images import Metadata, is_file


@dataclass(frozen=True, kw_only=True)
class Record:
    """One image: where it is, what it shows, and how it is found.

    `stamp` is the file's size and time, by which a change is noticed without reading it.
    """

    id: str
    source: str
    stamp: str
    caption: str
    embedding: list[float] = field(repr=False)
    metadata: Metadata

    @property
    def is_gone(self) -> bool:
        """Whether its file is not there any more."""
        return is_file(self.source) and not Path(self.source).exists()

    @property
    def node(self) -> ImageNode:
        """What LlamaIndex sees of it: the caption is its text."""
        file = is_file(self.source)
        hidden = ["file_path", "file_name", *self.metadata]
        return ImageNode(
            id_=self.id,
            text=self.caption,
            image_path=self.source if file else None,
            image_url=None if file else self.source,
            embedding=self.embedding,
            metadata={
                "file_path": self.source,
                "file_name": self.source.rpartition("/")[2],
                **self.metadata,
            },
            excluded_embed_metadata_keys=hidden,
            excluded_llm_metadata_keys=hidden,
        )


class Records:
    """The records of a collection, in one SQLite file."""

    def __init__(self, path: str | Path) -> None:
        """`path` is a file, or ":memory:"."""
        self._lock = threading.Lock()
        self._db = sqlite3.connect(str(path), check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        with self._db:
            self._db.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT)")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS images (id TEXT PRIMARY KEY, source TEXT, stamp TEXT, "
                "caption TEXT, embedding BLOB, metadata TEXT)"
            )

    def fact(self, name: str, value: str | None = None) -> str | None:
        """What was noted under a name; given a value, it is noted where nothing was."""
        with self._lock, self._db:
            if value is not None:
                self._db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, records: Iterable[Record]) -> None:
        """Keep some records, all or none; they are on disk when this returns."""
        rows = [
            (
                record.id,
                record.source,
                record.stamp,
                record.caption,
                np.asarray(record.embedding, np.float32).tobytes(),
                json.dumps(record.metadata),
            )
            for record in records
        ]
        with self._lock, self._db:
            self._db.executemany("INSERT OR REPLACE INTO images VALUES (?,?,?,?,?,?)", rows)

    def remove(self, ids: Iterable[str]) -> None:
        """Forget some records."""
        with self._lock, self._db:
            self._db.executemany("DELETE FROM images WHERE id = ?", [(one,) for one in ids])

    def stamps(self) -> dict[str, tuple[str, Metadata]]:
        """The stamp and the metadata of every image, by its id."""
        with self._lock:
            rows = self._db.execute("SELECT id, stamp, metadata FROM images").fetchall()
        return {row[0]: (row[1], json.loads(row[2])) for row in rows}

    def get(self, ids: Sequence[str]) -> list[Record]:
        """Some records, in the order of `ids`; without those that are gone."""
        marks = ",".join("?" * len(ids))
        with self._lock:
            query = f"SELECT * FROM images WHERE id IN ({marks})"  # marks alone
            found = {row[0]: _record(row) for row in self._db.execute(query, list(ids))}
        return [found[one] for one in ids if one in found]

    def __iter__(self) -> Iterator[Record]:
        """Every record, in the order of ids."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM images ORDER BY id").fetchall()
        return map(_record, rows)

    def first(self) -> Record | None:
        """One of them, if there is any."""
        with self._lock:
            row = self._db.execute("SELECT * FROM images LIMIT 1").fetchone()
        return None if row is None else _record(row)

    def __len__(self) -> int:
        """How many images there are."""
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM images").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _record(row: tuple[str, str, str, str, bytes, str]) -> Record:
    one, source, stamp, caption, vector, metadata = row
    return Record(
        id=one,
        source=source,
        stamp=stamp,
        caption=caption,
        embedding=np.frombuffer(vector, np.float32).tolist(),
        metadata=json.loads(metadata),
    )
