"""Writing a converted checkpoint part by part, each noted when it is whole."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from memvr_integrations.errors import ModelLoadError
from memvr_integrations.models.keymap import KeyMap, Settings
from memvr_integrations.models.shards import Shard, digest, published_digest

RECORD, LOCK = "conversion.json", "conversion.lock"
_BEGUN = {LOCK, "conversion.unfinished"}  # what a conversion killed at once leaves


class Parts:
    """The parts of one conversion, and the record of those that are whole.

    `shapes` are those that our parameters must have.
    """

    def __init__(
        self,
        model: str,
        keys: KeyMap,
        settings: Settings,
        shards: Sequence[Shard],
        shapes: Mapping[str, tuple[int, ...]],
        target: Path,
        progress: bool,
    ) -> None:
        self._model, self._keys = model, keys
        self._settings, self._shards = settings, shards
        self._shapes, self._target, self._silent = shapes, target, not progress
        self._done: dict[str, str] = {}
        self._source: dict[str, str] = {}

    def write(self, part_bytes: int) -> None:
        """Write the parts that are not there yet, then their index."""
        self._open()
        parts = _parts(self._shards, part_bytes)
        names = [
            f"model-{at:05d}-of-{len(parts):05d}.safetensors" for at in range(1, len(parts) + 1)
        ]
        where: dict[str, str] = {}
        total = sum(shard.sizes[name] for shard, kept in parts for name in kept)
        with self._bar(f"Converting {self._model}", total) as bar:
            for name, (shard, kept) in zip(names, parts, strict=True):
                targets = [ours for old in kept for ours in self._keys.targets(old) or ()]
                if not self._has(name):
                    self._write_part(name, shard, kept)
                where |= dict.fromkeys(targets, name)
                bar.update(sum(shard.sizes[old] for old in kept))
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
        write_whole(self._target / "model.safetensors.index.json", index)

    def _open(self) -> None:
        """Begin the directory, or make sure that it is this conversion's own."""
        record = self._target / RECORD
        known = self._known(record)
        others = {path.name for path in self._target.iterdir()} - _BEGUN
        if known is None and others:
            raise ModelLoadError(
                f"{self._target} is not empty and holds no conversion. Choose a new directory."
            )
        source = self._digests()
        if known is not None and known.get("source") != source:
            raise ModelLoadError(
                f"{self._target} holds a conversion of other files than these. Choose a new "
                "directory, or delete that one."
            )
        self._done = known["parts"] if known else {}
        self._source = source
        needed = sum(sum(shard.sizes.values()) for shard in self._shards)
        needed -= sum(
            (self._target / name).stat().st_size
            for name in self._done
            if (self._target / name).exists()
        )
        free = shutil.disk_usage(self._target).free
        if free < needed:
            raise ModelLoadError(
                f"{self._target} needs {needed / 1e9:.1f} GB more, but its disk has "
                f"{free / 1e9:.1f} GB left. Free some, or choose another directory."
            )
        self._note()

    def _known(self, record: Path) -> dict[str, Any] | None:
        if not record.exists():
            return None
        try:
            known: dict[str, Any] = json.loads(record.read_text())
            return {"source": dict(known["source"]), "parts": dict(known["parts"])}
        except (ValueError, KeyError, TypeError) as error:
            raise ModelLoadError(
                f"{record} is damaged ({error!r}). Delete {self._target} and convert anew."
            ) from error

    def _digests(self) -> dict[str, str]:
        """The SHA-256 of the published files, which must be those that the hub gave."""
        total = sum(shard.path.stat().st_size for shard in self._shards)
        # The settings say how parameters are cut.
        settings = json.dumps(self._settings, sort_keys=True).encode()
        found = {"config.json": hashlib.sha256(settings).hexdigest()}
        with self._bar("Checking files", total) as bar:
            for shard in self._shards:
                found[shard.path.name] = actual = digest(shard.path, bar.update)
                published = published_digest(shard.path)
                if published is not None and published != actual:
                    raise ModelLoadError(
                        f"{shard.path} has the SHA-256 {actual}, but the hub gave {published} when "
                        "it was downloaded: it is damaged. Delete it and download it again."
                    )
        return found

    def _has(self, name: str) -> bool:
        """Whether a part is there as it was noted."""
        path, noted = self._target / name, self._done.get(name)
        return noted is not None and path.exists() and digest(path, lambda _: None) == noted

    def _write_part(self, name: str, shard: Shard, kept: Sequence[str]) -> None:
        made: dict[str, Tensor] = {}
        with shard.opened() as read:
            for old in kept:
                for ours, tensor in self._cut(shard, old, read(old)).items():
                    if tuple(tensor.shape) != self._shapes[ours]:
                        raise ModelLoadError(
                            f"{shard.path} holds {old} of a shape that makes {ours} "
                            f"{tuple(tensor.shape)}, but config.json says {self._shapes[ours]}: "
                            "the files are of different checkpoints. Download all again."
                        )
                    made[ours] = tensor.contiguous().clone()
        path, unfinished = self._target / name, self._target / f"{name}.unfinished"
        save_file(made, unfinished, metadata={"format": "pt"})
        self._done[name] = digest(unfinished, lambda _: None)
        os.replace(unfinished, path)
        self._note()

    def _cut(self, shard: Shard, name: str, tensor: Tensor) -> dict[str, Tensor]:
        try:
            return self._keys.convert(name, tensor, self._settings)
        except (RuntimeError, ValueError) as error:
            raise ModelLoadError(
                f"{shard.path} holds {name} as {tuple(tensor.shape)}, which can't be cut as "
                f"config.json says ({one_line(error)}): the files are of different checkpoints. "
                "Download all again."
            ) from error

    def _note(self) -> None:
        record = {"model": self._model, "source": self._source, "parts": self._done}
        write_whole(self._target / RECORD, record)

    def _bar(self, title: str, total: int) -> "tqdm[Any]":
        return tqdm(total=total, desc=title, unit="B", unit_scale=True, disable=self._silent)


def _parts(shards: Sequence[Shard], limit: int) -> list[tuple[Shard, list[str]]]:
    """Every file's tensors in groups of at most `limit` bytes, or of one tensor."""
    parts: list[tuple[Shard, list[str]]] = []
    for shard in shards:
        size = limit + 1
        for name in sorted(shard.sizes):
            if size + shard.sizes[name] > limit:
                parts.append((shard, []))
                size = 0
            parts[-1][1].append(name)
            size += shard.sizes[name]
    return parts


def one_line(error: BaseException) -> str:
    """An error's text as a part of a sentence."""
    return " ".join(str(error).split())[:300]


def write_whole(path: Path, content: object) -> None:
    """Write JSON so that a crash leaves the old file or the new one."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1))
    os.replace(unfinished, path)
