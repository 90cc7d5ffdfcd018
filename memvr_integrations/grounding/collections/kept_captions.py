"""Captions on disk, each asked for once for its picture, prompt and model: `captions.sqlite`."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from memvr_integrations.grounding.collections.database import Database

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A description of a picture; `unsureness` (0 to 1) is None where nobody measured it."""

    text: str
    unsureness: float | None = None


class KeptCaptions:
    """Captions by key, in a file, or in memory without one; each is on disk at once.

    Raises:
        ConfigError: The file can't be opened, or holds something else.
    """

    def __init__(self, path: Path | None) -> None:
        """A file is made where there is none."""
        self._known = Database(
            path or ":memory:",
            "captions (key TEXT PRIMARY KEY, text TEXT)",
            # Apart, so that files of before, which have captions alone, stay what they are.
            "unsureness (key TEXT PRIMARY KEY, value REAL)",
            "notes (key TEXT PRIMARY KEY, text TEXT)",
        )
        self._asked: dict[tuple[int, str], asyncio.Lock] = {}

    async def get(self, key: str, ask: Callable[[], Awaitable[Caption]]) -> Caption:
        """The caption that is kept under a key; asked for where there is none."""
        return await self._once(key, lambda: self._caption(key, ask))

    async def note(self, key: str, ask: Callable[[], Awaitable[str]]) -> str:
        """Another text that is kept under a key, such as what a check gave."""
        return await self._once(key, lambda: self._note(key, ask))

    async def _once(self, key: str, work: Callable[[], Awaitable[Found]]) -> Found:
        # Equal pictures of one batch wait for the first one's caption; locks are a loop's own.
        place = id(asyncio.get_running_loop()), key
        lock = self._asked.setdefault(place, asyncio.Lock())
        try:
            async with lock:
                return await work()
        finally:
            self._asked.pop(place, None)

    async def _caption(self, key: str, ask: Callable[[], Awaitable[Caption]]) -> Caption:
        query = (
            "SELECT text, value FROM captions LEFT JOIN unsureness USING (key) "
            "WHERE captions.key = ?"
        )
        if rows := self._known.read(query, (key,)):
            [[text, value]] = rows
            return Caption(text=str(text), unsureness=None if value is None else float(value))
        caption = await ask()
        if caption.unsureness is not None:  # first: a caption that is there is complete
            row = (key, caption.unsureness)
            self._known.write("INSERT OR REPLACE INTO unsureness VALUES (?, ?)", [row])
        self._known.write("INSERT OR REPLACE INTO captions VALUES (?, ?)", [(key, caption.text)])
        return caption

    async def _note(self, key: str, ask: Callable[[], Awaitable[str]]) -> str:
        if rows := self._known.read("SELECT text FROM notes WHERE key = ?", (key,)):
            return str(rows[0][0])
        text = await ask()
        self._known.write("INSERT OR REPLACE INTO notes VALUES (?, ?)", [(key, text)])
        return text

    def close(self) -> None:
        """Close the file."""
        self._known.close()


def caption_key(*parts: object) -> str:
    """What a caption is kept under: a hash of all that it depends on, as JSON holds it."""
    written = json.dumps(list(parts), sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()
