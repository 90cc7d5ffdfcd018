"""A loaded model with all that serving it needs: tokenizer, vision, limits, prompts."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import PIL.Image
import torch
from torch import Tensor
from transformers import GenerationConfig

from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import LoadedModel, context_window, load_model
from memvr_integrations.backend.hosting.origin import Origin, touched
from memvr_integrations.backend.hosting.prompts.writer import PromptWriter
from memvr_integrations.backend.hosting.regions.regions import RegionFinder
from memvr_integrations.backend.hosting.vision import FeatureCache, VisionEncoder
from memvr_integrations.backend.structured.constraint import Grammars
from memvr_integrations.bundled.looks_drawn import looks_drawn
from memvr_integrations.errors import (
    ConfigError,
    MemVRWarning,
    UnsupportedModelError,
)
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.arming.anatomy import find_anatomy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Students:
    """Each is loaded once, at its first use, and let go with its teacher."""

    def __init__(self, teacher: "Host") -> None:
        self._teacher = teacher
        self._known: dict[str, Host] = {}
        self._loading = threading.Lock()

    def get(self, name: str) -> "Host":
        """The student of a name, on the teacher's device and in its precision.

        Raises:
            ConfigError: Its tokenizer is another one than the teacher's.
            MemVRError: It can't be loaded.
        """
        with self._loading:
            if name not in self._known:
                self._known[name] = self._load(name)
            return self._known[name]

    def release(self) -> None:
        """Let all of them go."""
        with self._loading:
            for student in self._known.values():
                student.release()
            self._known.clear()

    def _load(self, name: str) -> "Host":
        teacher = self._teacher
        dtype = str(teacher.model.dtype).removeprefix("torch.")
        config = LoadConfig(
            device=str(teacher.model.device),
            dtype=dtype,  # type: ignore[arg-type]  # one of those that a model can be loaded in
            progress=False,
        )
        student = Host(load_model(name, config), FeatureCache())
        if student.tokenizer.get_vocab() != teacher.tokenizer.get_vocab():
            student.release()
            raise ConfigError(
                f"student={name!r} has another tokenizer than {teacher.name}, so their tokens "
                "can't be compared. Choose a smaller model of the same family."
            )
        return student


class Host:
    """Everything about one model that does not change from request to request."""

    def __init__(self, loaded: LoadedModel, cache: FeatureCache) -> None:
        self.model, self.processor, self.row = loaded.model, loaded.processor, loaded.row
        self.name, self._released = loaded.name, False
        self._origin, self._touched = loaded.origin, loaded.touched
        self.tokenizer: PreTrainedTokenizerBase = self.processor.tokenizer
        # Why MemVR can't attach to this model, which then decodes plainly, a row at a time.
        self.unsupported = _unsupported(self.model)
        self.context = context_window(self.model.config)
        self.prompts = PromptWriter(
            self.name,
            self.processor,
            self.model.config,
            context=self.context,
            whole_inputs=self.unsupported is not None,
        )
        self.vision = (
            None if self.unsupported else VisionEncoder(self.model, self.prompts.shown, cache)
        )
        self.regions = RegionFinder(
            self.model.config,
            self.prompts.shown,
            company_counts=self.vision is not None and self.vision.company_counts,
        )
        text = self.model.config.get_text_config()
        self.layers = int(text.num_hidden_layers)
        self.end_tokens = self._end_tokens()
        # With which an encoder-decoder begins; the others have none.
        self.decoder_start: int | None = self.model.generation_config.decoder_start_token_id
        self.pad = self._pad()
        self.students = Students(self)
        self.vocabulary = int(text.vocab_size)
        self.grammars = Grammars(self.tokenizer, vocabulary=self.vocabulary, ends=self.end_tokens)

    def check_kind(self, image: PIL.Image.Image) -> None:
        """Warn when a model that knows drawings alone is shown a photograph."""
        if self.row is None or self.row.photographs or looks_drawn(image):
            return
        warnings.warn(
            f"{self.name} knows small drawn scenes only, and this seems to be another kind of "
            "picture: don't trust the answer. For photographs use model='smolvlm-256m' (CPU) or "
            "'llava-1.5-7b' (GPU).",
            MemVRWarning,
            stacklevel=2,
        )

    def release(self) -> None:
        """Let the model's memory go."""
        self._origin, self._released = self.origin, True  # what it was can still be asked
        self.students.release()
        if self.vision is not None:
            self.vision.release()
        del self.model, self.processor, self.tokenizer, self.prompts, self.regions
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def generate(self, **arguments: object) -> Tensor:
        """The model's own `generate`."""
        made: Tensor = self.model.generate(**arguments)  # type: ignore[operator]
        return made

    @contextmanager
    def own_defaults(self) -> Iterator[None]:
        """Keep the checkpoint's generation settings out: a request's own are all that counts.

        `generate` would fill in what a request leaves open, some of it (forced ends, penalties) in
        ways that make a row depend on its batch.
        """
        before = self.model.generation_config
        self.model.generation_config = GenerationConfig()
        try:
            yield
        finally:
            self.model.generation_config = before

    @property
    def preset(self) -> MemVRConfig:
        """What `memvr=True` means for this model."""
        if self.row is not None and self.row.preset is not None:
            usual = self.row.layers in (None, self.layers)
            return self.row.preset if usual else self.row.preset.for_depth(self.layers)
        return MemVRConfig.preset("llava").for_depth(self.layers)

    @property
    def calibrated(self) -> bool:
        """Whether the preset was measured on this model."""
        return self.row is not None and self.row.calibrated

    @property
    def origin(self) -> Origin | None:
        """Where the weights come from; None where they were made, or changed, in memory."""
        if self._released or touched(self.model) == self._touched:
            return self._origin
        return None

    @property
    def abstention(self) -> float | None:
        """The threshold that was measured on this model."""
        if self.row is None or self.row.port is not None or self.origin is None:
            return None  # a row by the kind of a checkpoint, or of other weights, is another's
        return self.row.abstention

    def spellings(self, text: str) -> list[tuple[int, ...]]:
        """The ways in which an answer may begin with a text: with and without a blank before it."""
        return list(dict.fromkeys(self.prompts.tokens(start + text) for start in ("", " ")))

    def _end_tokens(self) -> frozenset[int]:
        ends = self.model.generation_config.eos_token_id
        if ends is None:
            ends = self.tokenizer.eos_token_id
        if ends is None:
            return frozenset()
        return frozenset([ends] if isinstance(ends, int) else ends)

    def _pad(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None else min(self.end_tokens, default=0)


def _unsupported(model: "PreTrainedModel") -> str | None:
    try:
        find_anatomy(model)
    except UnsupportedModelError as error:
        return str(error)
    return None
