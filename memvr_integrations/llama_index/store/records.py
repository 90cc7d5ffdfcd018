"""Source, caption and vector of each image of a collection, kept in `images.sqlite`."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.schema import ImageNode

from memvr_integrations.backend.images import load_image, page_of
from memvr_integrations.errors import ImageError
from memvr_integrations.grounding.collections.database import Database
from memvr_integrations.grounding.collections.metadata import Metadata
from memvr_integrations.grounding.collections.sources import file_of, is_file, stamp_of

_SELECT = (
    "SELECT id, source, stamp, caption, embedding, metadata, text FROM images "
    "LEFT JOIN words USING (id)"
)
_AT_ONCE = 900  # older SQLite takes at most 999 values in a query


@dataclass(frozen=True, kw_only=True)
class Record:
    """One image: where it is, what it shows, and how it is found.

    `stamp` is the file's size and time, by which a change is noticed without reading it; `words`
    are all that is said of it beside the caption, for the search by words.
    """

    id: str
    source: str
    stamp: str
    caption: str
    embedding: list[float] = field(repr=False)
    metadata: Metadata
    words: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether its file is not there any more."""
        return is_file(self.source) and not os.path.exists(file_of(self.source))

    @property
    def is_readable(self) -> bool:
        """Whether its picture can be shown: URLs are not asked, nor files that did not change."""
        if not is_file(self.source):
            return True
        if not os.access(file_of(self.source), os.R_OK):
            return False
        if stamp_of(self.source) == self.stamp:
            return True
        try:
            load_image(Path(self.source))
        except ImageError:
            return False
        return True

    @property
    def node(self) -> ImageNode:
        """What LlamaIndex sees of it: the caption is its text."""
        file, page = is_file(self.source), page_of(self.source)
        where = {"file_path": self.source, "file_name": self.source.rpartition("/")[2]}
        metadata = where | ({"page": page[1]} if page else {}) | dict(self.metadata)
        return ImageNode(
            id_=self.id,
            text=self.caption,
            image_path=self.source if file else None,
            image_url=None if file else self.source,
            embedding=self.embedding,
            metadata=metadata,
            excluded_embed_metadata_keys=list(metadata),
            excluded_llm_metadata_keys=list(metadata),
        )


class Records(Database):
    """The records of a collection, in one SQLite file."""

    def __init__(self, path: str | Path) -> None:
        """`path` is a file, or ":memory:"."""
        super().__init__(
            path,
            "facts (name TEXT PRIMARY KEY, value TEXT)",
            "images (id TEXT PRIMARY KEY, source TEXT, stamp TEXT, caption TEXT, embedding BLOB, "
            "metadata TEXT)",
            "half_done (id TEXT PRIMARY KEY)",
            # Apart, so that collections of before can be opened.
            "words (id TEXT PRIMARY KEY, text TEXT)",
        )
        self._changes = 0

    def fact(self, name: str, value: str) -> str:
        """What was noted under a name; the value, where nothing was."""
        self.write("INSERT OR IGNORE INTO facts VALUES (?, ?)", [(name, value)])
        [[noted]] = self.read("SELECT value FROM facts WHERE name = ?", (name,))
        return str(noted)

    def put(self, records: Sequence[Record]) -> None:
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
        # First: a record that is there is complete.
        words = [(record.id, record.words) for record in records]
        self.write("INSERT OR REPLACE INTO words VALUES (?, ?)", words)
        self.write("INSERT OR REPLACE INTO images VALUES (?,?,?,?,?,?)", rows)
        self._changes += 1

    def remove(self, ids: Iterable[str]) -> None:
        """Forget some records."""
        gone = [(one,) for one in ids]
        self.write("DELETE FROM images WHERE id = ?", gone)
        self.write("DELETE FROM words WHERE id = ?", gone)
        self._changes += 1

    @property
    def state(self) -> tuple[int, int]:
        """What is another after every change, here or in another process."""
        [[elsewhere]] = self.read("PRAGMA data_version")
        assert isinstance(elsewhere, int)
        return self._changes, elsewhere

    def note(self, ids: Iterable[str]) -> None:
        """Note whose vectors are about to change."""
        self.write("INSERT OR IGNORE INTO half_done VALUES (?)", [(one,) for one in ids])

    def settle(self, ids: Iterable[str]) -> None:
        """Their vectors are as the records say."""
        self.write("DELETE FROM half_done WHERE id = ?", [(one,) for one in ids])

    def noted(self) -> list[str]:
        """Whose vectors were about to change, and may be half done."""
        return [str(one) for [one] in self.read("SELECT id FROM half_done")]

    def stamps(self) -> dict[str, tuple[str, Metadata]]:
        """The stamp and the metadata of every image, by its id."""
        rows = self.read("SELECT id, stamp, metadata FROM images")
        return {str(one): (str(stamp), json.loads(str(said))) for one, stamp, said in rows}

    def get(self, ids: Sequence[str]) -> list[Record]:
        """Some records, in the order of `ids`; without those that are gone."""
        found: dict[str, Record] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self.read(f"{_SELECT} WHERE id IN ({marks})", some)
            found |= {record.id: record for record in map(_record, rows)}
        return [found[one] for one in ids if one in found]

    def __iter__(self) -> Iterator[Record]:
        """Every record, in the order of ids."""
        return map(_record, self.read(f"{_SELECT} ORDER BY id"))

    def first(self) -> Record | None:
        """One of them, if there is any."""
        return next(map(_record, self.read(f"{_SELECT} LIMIT 1")), None)

    def __len__(self) -> int:
        """How many images there are."""
        [[count]] = self.read("SELECT COUNT(*) FROM images")
        assert isinstance(count, int)
        return count


def _record(row: tuple[Any, ...]) -> Record:
    one, source, stamp, caption, vector, metadata, words = row
    return Record(
        id=one,
        source=source,
        stamp=stamp,
        caption=caption,
        embedding=np.frombuffer(vector, np.float32).tolist(),
        metadata=json.loads(metadata),
        words=words or "",
    )
