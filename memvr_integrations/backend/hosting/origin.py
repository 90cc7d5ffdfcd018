"""Where a model comes from, as a key for its weights and how they were loaded."""

import functools
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from torch import nn

from memvr_integrations import __version__

Stamp: TypeAlias = tuple[int, ...]
Settings: TypeAlias = tuple[object, ...]

# Nothing here reads such files, and a training's own may be as large as the weights.
_NEVER_READ = {".md", ".pt", ".pth", ".onnx", ".h5", ".msgpack", ".gguf"}
_COMMIT = re.compile("[0-9a-f]{40}")
_READING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A commit on the hub, or the files of a folder as they were before they were loaded.

    `settings` is all else on which the answers depend: how the weights were loaded, and what
    `memvr=True` means for them.
    """

    settings: Settings
    commit: str | None = None
    files: tuple[tuple[str, Path, Stamp], ...] = ()

    @classmethod
    def of_folder(cls, folder: Path, settings: Settings) -> Self:
        """Of a folder that somebody may write to: every byte counts, read when the key is asked."""
        files = ((one.relative_to(folder).as_posix(), one, _stamp(one)) for one in _read_of(folder))
        return cls(settings=settings, files=tuple(files))

    @classmethod
    def of_snapshot(cls, folder: Path, settings: Settings) -> Self:
        """Of a folder in the hub's cache, which is called after the commit that it holds."""
        if _COMMIT.fullmatch(folder.name):
            return cls(settings=settings, commit=folder.name)
        return cls.of_folder(folder, settings)

    def key(self) -> str | None:
        """The same in every process; None where a file has changed since, or there is none.

        The first key of a folder reads all of it, some seconds for gigabytes; it is kept then.
        """
        weights: object = self.commit
        if weights is None:
            with _READING:  # once, for however many ask
                digests = [(name, _digest(file, stamp)) for name, file, stamp in self.files]
            if not digests or any(digest is None for _, digest in digests):
                return None
            weights = digests
        # A newer version may decode otherwise.
        whole = json.dumps([__version__, weights, self.settings])
        return hashlib.sha256(whole.encode()).hexdigest()


def touched(model: nn.Module) -> int:
    """Another number once a weight in memory was written, replaced or added."""
    weights = model.named_parameters()
    return hash(tuple((name, one.data_ptr(), one._version) for name, one in weights))


def _read_of(folder: Path) -> Iterator[Path]:
    templates = folder / "additional_chat_templates"
    for one in sorted((*folder.iterdir(), *templates.glob("*"))):
        if one.is_file() and not one.name.startswith(".") and one.suffix not in _NEVER_READ:
            yield one


def _stamp(file: Path) -> Stamp:
    """What changes with a file's bytes; ctime, because mtime can be set back."""
    seen = os.stat(file)
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


@functools.cache
def _digest(file: Path, stamp: Stamp) -> str | None:
    """Of a file that still is as it was; None of any other, and it stays None."""
    try:
        with open(file, "rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        return found if _stamp(file) == stamp else None
    except OSError:
        return None
