"""A model for VLMEvalKit, and its `run.py` with such models registered.

`python -m memvr_integrations.evaluate.harnesses.vlm_eval_kit_model run.py --model NAME ...`: such a
name is `memvr-`, a name of the catalog, and a way of decoding (none for MemVR alone), as in
`memvr-bundled-vcd`.
"""

import argparse
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NotRequired, TypedDict

import vlmeval.vlm
from vlmeval.config import supported_VLM
from vlmeval.vlm.base import BaseModel

from memvr_integrations.backend import CATALOG
from memvr_integrations.errors import ConfigError, MemVRError, did_you_mean
from memvr_integrations.evaluate.harnesses.harness import HarnessOptions, conversation
from memvr_integrations.types import Role, SamplingParams

_PREFIX = "memvr-"


class Piece(TypedDict):
    """A part of a message: "text" or "image", and the text or the picture's path."""

    type: str
    value: str
    role: NotRequired[Role]


class Turn(TypedDict):
    """A message of a conversation."""

    role: Role
    content: list[Piece]


@dataclass(frozen=True, kw_only=True)
class VlmEvalKitOptions(HarnessOptions):
    """What a model is made with; VLMEvalKit's data sets leave sampling to the model."""

    temperature: float = 0.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """Refuse as well what VLMEvalKit gives no means for."""
        super().__post_init__()
        self.sampling()
        if "shuffled" in self.decoding.split("+"):
            raise ConfigError(
                f"decoding={self.decoding!r} retraces the images of other questions, and "
                "VLMEvalKit shows one question at a time. Use lmms-eval or `memvr eval` for it."
            )

    def sampling(self) -> SamplingParams:
        """How each answer is sampled."""
        return SamplingParams(
            max_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
        )


class MemVR(BaseModel):
    """A model of `supported_VLM`: `MemVR(pretrained="llava-1.5-7b", decoding="memvr+vcd")`.

    The options are the fields of `VlmEvalKitOptions`. ConfigError for others, and as
    `Backend.load` raises.
    """

    INTERLEAVE = True
    VIDEO_LLM = False  # so that VLMEvalKit shows videos as frames
    is_api = False

    def __init__(self, **options: object) -> None:
        super().__init__()
        # run.py gives this one to models by their names, whatever they are.
        if options.pop("use_vllm", False):
            raise ConfigError("use_vllm=True, but MemVR runs in transformers; leave it out.")
        self._options = VlmEvalKitOptions.read(options)
        self._backend, self._way = self._options.load()

    def use_custom_prompt(self, dataset: str) -> bool:
        """Prompts are the data set's own."""
        return False

    def generate_inner(self, message: Sequence[Piece], dataset: str | None = None) -> str:
        """The answer to one question: texts and images in the order in which they come.

        Raises:
            MemVRError: It can't be answered.
        """
        turns = groupby(message, key=lambda piece: piece.get("role", "user"))
        return self._answer([{"role": role, "content": list(said)} for role, said in turns])

    def chat_inner(self, message: Sequence[Turn], dataset: str | None = None) -> str:
        """The answer to the last message of a conversation.

        Raises:
            MemVRError: It can't be answered.
        """
        return self._answer(message)

    def _answer(self, turns: Sequence[Turn]) -> str:
        messages = conversation(
            (
                (turn["role"], [(piece["type"], piece["value"]) for piece in turn["content"]])
                for turn in turns
            ),
            self._options.system_prompt,
        )
        [done] = self._backend.generate([self._way.asked(messages, self._options.sampling())])
        return done.text


def register(name: str = "memvr", **options: object) -> None:
    """Make a model known to VLMEvalKit by a name; it is loaded when it is asked.

    Its class is known in `--config` files as well: `"class": "MemVR"`.

    Raises:
        ConfigError: An option is unknown or outside its limits.
    """
    VlmEvalKitOptions.read(options)
    supported_VLM[name] = partial(MemVR, **options)
    vlmeval.vlm.MemVR = MemVR


def named(name: str) -> dict[str, str]:
    """The options that a name such as "memvr-bundled-vcd" stands for.

    Raises:
        ConfigError: No model of the catalog, or no way of decoding, is called so.
    """
    rest = name.removeprefix(_PREFIX)
    known = [row.name for row in CATALOG]
    fitting = [model for model in known if rest == model or rest.startswith(f"{model}-")]
    if not fitting:
        raise ConfigError(
            f"--model {name!r} names no model of the catalog; `memvr models` lists them, and "
            "--config takes others." + did_you_mean(rest, known)
        )
    model = max(fitting, key=len)
    way = rest.removeprefix(model).removeprefix("-")
    return {"pretrained": model, "decoding": way or "memvr"}


def main(arguments: Sequence[str]) -> None:
    """Register what is asked for, then go on as VLMEvalKit's `run.py`, which comes first."""
    parser = argparse.ArgumentParser(
        prog="memvr_integrations.evaluate.harnesses.vlm_eval_kit_model",
        allow_abbrev=False,  # run.py has a --mode, which is no short form of --model
        add_help=False,  # it is run.py's
    )
    parser.add_argument("run", type=Path, help="VLMEvalKit's run.py; what follows is for it")
    parser.add_argument("--model", nargs="+", default=[])
    given, _ = parser.parse_known_args(arguments)
    if not given.run.is_file():
        parser.error(f"{given.run} is no file; give the run.py of a VLMEvalKit checkout")
    try:
        register()
        for name in given.model:
            if name.startswith(_PREFIX):
                register(name, **named(name))
    except MemVRError as error:
        parser.error(str(error))
    rest = list(arguments)
    rest.remove(str(given.run))
    sys.argv = [str(given.run), *rest]
    runpy.run_path(str(given.run), run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
