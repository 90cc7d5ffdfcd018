"""What the plug-ins for other harnesses share: options, messages, and the model that answers."""

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import PIL.Image

from memvr_integrations.backend import Backend, QueueConfig
from memvr_integrations.backend.hosting.load_config import Dtype, Quantization
from memvr_integrations.checks import check_fields, check_integer
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.evaluate.running import ways
from memvr_integrations.evaluate.running.asking import Strategy
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Image, Message, Role, Text
from memvr_integrations.wire.presets import read_preset

Option: TypeAlias = str | int | float | None

_ADDRESSES = ("http://", "https://", "data:")


@dataclass(frozen=True, kw_only=True)
class HarnessOptions:
    """Which model answers a harness, and in which way of decoding.

    Args:
        pretrained: A catalog name, a local directory or a hub id.
        decoding: A way by the name that `memvr eval` has for it: plain, memvr, memvr+vcd, ...
        student: The smaller model of "contrastive".
        preset: A file that `memvr calibrate` wrote; None is the model's own preset.
        device: This and the next four are as `Backend.load` takes them.
        dtype: Precision of the weights.
        quantization: "8bit" or "4bit".
        attention: An attention implementation of transformers.
        revision: Of a checkpoint from the hub.
        max_new_tokens: The most tokens of an answer, where the harness says none.
        system_prompt: Stands before every conversation, in place of one that the harness has.
        seed: Where answers are sampled.
    """

    pretrained: str = "bundled"
    decoding: str = "memvr"
    student: str | None = None
    preset: str | None = None
    device: str = "auto"
    dtype: Dtype = "auto"
    quantization: Quantization | None = None
    attention: str | None = None
    revision: str | None = None
    max_new_tokens: int = 1024
    system_prompt: str | None = None
    seed: int = 0

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Self:
        """Options as a harness hands them on, where text and numbers get mixed up.

        Raises:
            ConfigError: One is unknown, of another kind, or outside its limits.
        """
        check_fields(cls, given)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values = {name: _read(name, given[name], fields[name].default) for name in given}
        return cls(**values)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        """Refuse what would else fail when the model is loaded already."""
        ways.check([self.decoding], student=self.student)
        check_integer("max_new_tokens", self.max_new_tokens, least=1)
        check_integer("seed", self.seed, least=0)
        if self.preset is not None and not ways.uses_memvr(self.decoding):
            raise ConfigError(
                f"preset={self.preset!r} sets MemVR, and decoding={self.decoding!r} goes without "
                "it; leave one of them out."
            )

    def load(self, *, batch: int = 1) -> tuple[Backend, Strategy]:
        """The model in memory, for batches of some size, and the way in which it is asked.

        Raises:
            ConfigError: The preset file can't be read, or says "off" and a control is asked for.
            MemVRError: As `Backend.load` does.
        """
        active = ways.uses_memvr(self.decoding)
        settings = read_preset(Path(self.preset)) if self.preset is not None else None
        off = self.preset is not None and settings is None
        if off and self._way(MemVRConfig()).memvr != MemVRConfig():
            raise ConfigError(
                f"preset={self.preset!r} says that MemVR is better off for this model, so "
                f"decoding={self.decoding!r} has nothing to control; leave the preset out."
            )
        backend = Backend.load(
            self.pretrained,
            device=self.device,
            dtype=self.dtype,
            quantization=self.quantization,
            attention=self.attention,
            revision=self.revision,
            memvr=True if active and not off else None,
            progress=sys.stderr.isatty(),
            queueing=QueueConfig(max_batch=batch),
        )
        if not active or off:
            return backend, replace(self._way(MemVRConfig()), memvr=None)
        return backend, self._way(settings or backend.preset)

    def _way(self, preset: MemVRConfig) -> Strategy:
        return ways.one(self.decoding, preset, student=self.student)


def conversation(
    turns: Iterable[tuple[Role, Iterable[tuple[str, object]]]], system_prompt: str | None
) -> tuple[Message, ...]:
    """Messages of what was said in turn, each a role and its parts, by their kind.

    A system prompt takes the place of one that is there.

    Raises:
        RequestError: There is nothing to answer, or a part is neither text nor image.
    """
    messages = [
        Message(role, [part(kind, value) for kind, value in parts]) for role, parts in turns
    ]
    if system_prompt is not None:
        messages = [message for message in messages if message.role != "system"]
        messages.insert(0, Message("system", system_prompt))
    if not messages or messages[-1].role != "user":
        last = f"ends with {messages[-1].role!r}" if messages else "is empty"
        raise RequestError(f"A conversation {last}; it must end with what the user says.")
    return tuple(messages)


def part(kind: str, value: object) -> Text | Image:
    """A piece of a harness's message: a text, or a picture as it lies on disk or in memory.

    The harness and its tasks run here already, so a string may name a file.

    Raises:
        RequestError: It is a video, a sound, or a picture in a form that is unknown.
    """
    if kind == "text" and isinstance(value, str):
        return Text(value)
    if kind != "image":
        raise RequestError(
            f"A message holds a part of type {kind!r} ({type(value).__name__}); only texts and "
            "images can be answered. Choose tasks without video and audio, or give the frames of "
            "a video as images."
        )
    if isinstance(value, str):
        address = value.startswith(_ADDRESSES)
        return Image(value if address else Path(value.removeprefix("file://")))
    if not isinstance(value, Path | bytes | PIL.Image.Image | np.ndarray):
        raise RequestError(
            f"An image came as a {type(value).__name__}; it must be a path, an address, bytes, a "
            "Pillow image or an array."
        )
    return Image(value)


def _read(name: str, value: object, default: object) -> Option:
    """An option of the kind that its default has; those with None may be None or text."""
    if default is None and value in (None, "None", "none"):
        return None
    if isinstance(default, str | None):
        if isinstance(value, str | Path) or type(value) is int:
            return str(value)
        raise ConfigError(f"{name}={value!r} must be a text.")
    kind = float if isinstance(default, float) else int
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = kind(value)
            if number == float(value):
                return number
    except ValueError:
        pass
    raise ConfigError(f"{name}={value!r} must be a {'' if kind is float else 'whole '}number.")
