"""From a published checkpoint's directory to one that `from_pretrained` opens.

A part at a time, so that memory stays bounded, and noted when it is whole, so that a conversion
that was stopped goes on where it was. What makes the directory a model is written last.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm
from transformers import GenerationConfig

from memvr_integrations.errors import ModelLoadError, UnsupportedModelError
from memvr_integrations.models import glm_4v_checkpoint, qwen_vl_checkpoint
from memvr_integrations.models.glm_4v import Glm4VForConditionalGeneration
from memvr_integrations.models.keymap import KeyMap, Settings
from memvr_integrations.models.qwen_vl import QwenVLForConditionalGeneration
from memvr_integrations.models.shards import Shard, digest, find_shards, published_digest
from memvr_integrations.models.vision_language import VisionLanguageGenerator

RECORD = "conversion.json"
_PART_BYTES = 2 * 10**9
_SHOWN = 3  # names in an error


@dataclass(frozen=True, kw_only=True)
class Port:
    """How one published checkpoint is read.

    The functions take what transformers leaves untyped: `config` the settings of the published
    config.json, `processor` the directory and our settings, `generation` that processor.
    """

    name: str
    model: Callable[[Any], VisionLanguageGenerator]
    keys: KeyMap
    config: Callable[[Settings], Any]
    processor: Callable[[Path, Any], Any]
    generation: Callable[[Any], GenerationConfig]


QWEN_VL = Port(
    name="Qwen-VL-Chat",
    model=QwenVLForConditionalGeneration,
    keys=qwen_vl_checkpoint.KEYS,
    config=qwen_vl_checkpoint.read_config,
    processor=qwen_vl_checkpoint.read_processor,
    generation=qwen_vl_checkpoint.read_generation,
)
GLM_4V = Port(
    name="GLM-4V-9B",
    model=Glm4VForConditionalGeneration,
    keys=glm_4v_checkpoint.KEYS,
    config=glm_4v_checkpoint.read_config,
    processor=glm_4v_checkpoint.read_processor,
    generation=glm_4v_checkpoint.read_generation,
)


def port_of(settings: Settings) -> Port | None:
    """The port for a published config.json; None where transformers itself is to read it."""
    if settings.get("model_type") == "qwen" and "visual" in settings:
        return QWEN_VL
    if settings.get("model_type") == "chatglm" and "vision_config" in settings:
        return GLM_4V
    return None


def convert(
    source: Path, target: Path, *, progress: bool = True, part_bytes: int = _PART_BYTES
) -> None:
    """Convert the checkpoint in `source` into a new directory `target`, or go on with it.

    Every name and shape is checked against the model, every file against the SHA-256 that the hub
    told, where the download kept it, and every part against the one that was noted.

    Raises:
        UnsupportedModelError: The checkpoint is of no family that is ported here.
        ModelLoadError: A file is missing, damaged or of another checkpoint, `target` holds
            something else, or the disk is too small.
    """
    settings = _settings(source)
    port = port_of(settings)
    if port is None:
        raise UnsupportedModelError(
            f"{source} is a {settings.get('model_type')!r} checkpoint; {QWEN_VL.name} and "
            f"{GLM_4V.name} are what is converted here. What transformers knows is loaded as it is."
        )
    try:
        config = port.config(settings)
        with torch.device("meta"):
            model = port.model(config)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise ModelLoadError(
            f"{source / 'config.json'} does not describe a {port.name} ({type(error).__name__}: "
            f"{error}). Download the checkpoint's own config.json."
        ) from error
    processor = port.processor(source, config)
    shards = find_shards(source)
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    _check_names(port, shards, shapes)
    _Conversion(port, settings, shards, shapes, target, progress).run(part_bytes)
    config.architectures = [type(model).__name__]
    processor.save_pretrained(target)
    port.generation(processor).save_pretrained(target)
    config.save_pretrained(target)


class _Conversion:
    """The parts of one conversion, and the record of those that are whole."""

    def __init__(
        self,
        port: Port,
        settings: Settings,
        shards: Sequence[Shard],
        shapes: Mapping[str, tuple[int, ...]],
        target: Path,
        progress: bool,
    ) -> None:
        self._port, self._settings, self._shards = port, settings, shards
        self._shapes, self._target, self._silent = shapes, target, not progress

    def run(self, part_bytes: int) -> None:
        """Write the parts that are not there yet, then their index."""
        self._open()
        parts = _parts(self._shards, part_bytes)
        names = [
            f"model-{at:05d}-of-{len(parts):05d}.safetensors" for at in range(1, len(parts) + 1)
        ]
        where: dict[str, str] = {}
        total = sum(shard.sizes[name] for shard, kept in parts for name in kept)
        with self._bar(f"Converting {self._port.name}", total) as bar:
            for name, (shard, kept) in zip(names, parts, strict=True):
                targets = [ours for old in kept for ours in self._port.keys.targets(old) or ()]
                if not self._has(name):
                    self._write(name, shard, kept)
                where |= dict.fromkeys(targets, name)
                bar.update(sum(shard.sizes[old] for old in kept))
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
        _write_whole(self._target / "model.safetensors.index.json", index)

    def _open(self) -> None:
        """Begin the directory, or make sure that it is this conversion's own."""
        record = self._target / RECORD
        known = self._known(record)
        if known is None and self._target.exists() and any(self._target.iterdir()):
            raise ModelLoadError(
                f"{self._target} is not empty and holds no conversion. Choose a new directory."
            )
        source = self._digests()
        if known is not None and known.get("source") != source:
            raise ModelLoadError(
                f"{self._target} holds a conversion of other files than these. Choose a new "
                "directory, or delete that one."
            )
        self._done: dict[str, str] = known["parts"] if known else {}
        self._source = source
        self._target.mkdir(parents=True, exist_ok=True)
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
        """The SHA-256 of the published files, which must be those that the hub told."""
        total = sum(shard.path.stat().st_size for shard in self._shards)
        found: dict[str, str] = {}
        with self._bar("Checking files", total) as bar:
            for shard in self._shards:
                found[shard.path.name] = actual = digest(shard.path, bar.update)
                told = published_digest(shard.path)
                if told is not None and told != actual:
                    raise ModelLoadError(
                        f"{shard.path} has the SHA-256 {actual}, but the hub told {told} when it "
                        "was downloaded: it is damaged. Delete it and download it again."
                    )
        return found

    def _has(self, name: str) -> bool:
        """Whether a part is there as it was noted."""
        path, noted = self._target / name, self._done.get(name)
        return noted is not None and path.exists() and digest(path, lambda _: None) == noted

    def _write(self, name: str, shard: Shard, kept: Sequence[str]) -> None:
        made: dict[str, Tensor] = {}
        with shard.opened() as read:
            for old in kept:
                for ours, tensor in self._port.keys.convert(old, read(old), self._settings).items():
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

    def _note(self) -> None:
        record = {"model": self._port.name, "source": self._source, "parts": self._done}
        _write_whole(self._target / RECORD, record)

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


def _check_names(
    port: Port, shards: Sequence[Shard], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Every published parameter must be known, and all of ours must come of them, once."""
    published = [name for shard in shards for name in shard.sizes]
    unknown = sorted(name for name in published if port.keys.targets(name) is None)
    if unknown:
        raise ModelLoadError(
            f"{len(unknown)} parameters are none of {port.name}'s, such as "
            f"{', '.join(unknown[:_SHOWN])}. Quantised and fine-tuned forms with parameters of "
            "their own can't be converted: take the checkpoint itself."
        )
    made = [ours for name in published for ours in port.keys.targets(name) or ()]
    missing = sorted(shapes.keys() - set(made))
    if missing:
        raise ModelLoadError(
            f"{len(missing)} of {port.name}'s {len(shapes)} parameters come from none of these "
            f"files, such as {', '.join(missing[:_SHOWN])}. Download all files of the checkpoint."
        )
    more = sorted(set(made) - shapes.keys()) or sorted({one for one in made if made.count(one) > 1})
    if more:
        raise ModelLoadError(
            f"config.json describes a smaller {port.name} than the weights hold: "
            f"{', '.join(more[:_SHOWN])} have no place or come twice. Download all files again."
        )


def _settings(source: Path) -> Settings:
    path = source / "config.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelLoadError(
            f"{path} can't be read ({type(error).__name__}). Give the directory into which the "
            "whole checkpoint was downloaded."
        ) from error
    return found if isinstance(found, dict) else {}


def _write_whole(path: Path, content: object) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1))
    os.replace(unfinished, path)
