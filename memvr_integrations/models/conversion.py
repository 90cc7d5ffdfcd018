"""From a published checkpoint's directory to one that `from_pretrained` opens.

A part at a time, so that memory stays bounded, and noted when it is whole, so that a conversion
that was stopped goes on where it was. What makes the directory a model is written last.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from transformers import GenerationConfig

from memvr_integrations.errors import ModelLoadError, UnsupportedModelError
from memvr_integrations.models import glm_4v_checkpoint, qwen_vl_checkpoint
from memvr_integrations.models.glm_4v import Glm4VForConditionalGeneration
from memvr_integrations.models.keymap import KeyMap, Settings
from memvr_integrations.models.part_writer import LOCK, Parts, one_line, write_whole
from memvr_integrations.models.qwen_vl import QwenVLForConditionalGeneration
from memvr_integrations.models.shards import Shard, find_shards
from memvr_integrations.models.vision_language import VisionLanguageGenerator

_PART_BYTES = 2 * 10**9
_SHOWN = 3  # names in an error


@dataclass(frozen=True, kw_only=True)
class Port:
    """How one published checkpoint is read.

    The functions take what transformers leaves untyped: `config` the settings of the published
    config.json, `processor` the directory and our settings. `ends` are the tokens that end an
    answer, the first of them a text.
    """

    name: str
    model: Callable[[Any], VisionLanguageGenerator]
    keys: KeyMap
    config: Callable[[Settings], Any]
    processor: Callable[[Path, Any], Any]
    ends: Sequence[str]


QWEN_VL = Port(
    name="Qwen-VL-Chat",
    model=QwenVLForConditionalGeneration,
    keys=qwen_vl_checkpoint.KEYS,
    config=qwen_vl_checkpoint.read_config,
    processor=qwen_vl_checkpoint.read_processor,
    ends=qwen_vl_checkpoint.ENDS,
)
GLM_4V = Port(
    name="GLM-4V-9B",
    model=Glm4VForConditionalGeneration,
    keys=glm_4v_checkpoint.KEYS,
    config=glm_4v_checkpoint.read_config,
    processor=glm_4v_checkpoint.read_processor,
    ends=glm_4v_checkpoint.ENDS,
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
    gave, where the download kept it, and every part against the one that was noted.

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
    if settings.get("quantization_config"):
        raise ModelLoadError(
            f"{source} is quantised, which can't be converted. Take the checkpoint itself; "
            "quantization='4bit' makes it small when it is loaded."
        )
    try:
        config = port.config(settings)
        with torch.device("meta"):
            model = port.model(config)
    # Wrong values make torch and transformers raise nearly every type there is.
    except Exception as error:
        raise ModelLoadError(
            f"{source / 'config.json'} does not describe a {port.name} ({type(error).__name__}: "
            f"{one_line(error)}). Download the checkpoint's own config.json."
        ) from error
    processor = port.processor(source, config)
    shards = find_shards(source)
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    _check_names(port, shards, shapes)
    config.architectures = [type(model).__name__]
    try:
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(target / LOCK, timeout=0):
            Parts(port.name, port.keys, settings, shards, shapes, target, progress).write(
                part_bytes
            )
            processor.save_pretrained(target)
            ends = processor.tokenizer.convert_tokens_to_ids(list(port.ends))
            GenerationConfig(eos_token_id=ends, pad_token_id=ends[0]).save_pretrained(target)
            write_whole(target / "config.json", json.loads(config.to_json_string()))
        (target / LOCK).unlink(missing_ok=True)
    except Timeout:
        raise ModelLoadError(
            f"Another conversion is writing into {target}. Let it end, or choose another directory."
        ) from None
    except (OSError, SafetensorError) as error:
        raise ModelLoadError(
            f"{target} can't be written ({one_line(error)}). Make room or choose another "
            "directory, then run the same command again: it goes on where it was."
        ) from error


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
    more = sorted(set(made) - shapes.keys())
    if more:
        raise ModelLoadError(
            f"config.json describes a smaller {port.name} than the weights hold: "
            f"{', '.join(more[:_SHOWN])} have no place. Download all files again."
        )
    twice = sorted(name for name, times in Counter(published).items() if times > 1)
    if twice:
        raise ModelLoadError(
            f"Two files hold {', '.join(twice[:_SHOWN])}. Download all files again, into an empty "
            "directory."
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
