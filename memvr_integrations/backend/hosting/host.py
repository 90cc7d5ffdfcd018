"""A loaded model with all that serving it needs: tokenizer, vision, limits, prompts."""

import functools
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import PIL.Image
import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import GenerationConfig

from memvr_integrations.backend.hosting.conversation import plain_messages, without_system
from memvr_integrations.backend.hosting.formats import FORMATS
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import LoadedModel, context_window, load_model
from memvr_integrations.backend.hosting.prompts import Picture, Prompt
from memvr_integrations.backend.hosting.vision import FeatureCache, VisionEncoder
from memvr_integrations.backend.structured.constraint import Grammars
from memvr_integrations.bundled.photographs import looks_drawn
from memvr_integrations.errors import (
    ConfigError,
    ContextLengthError,
    MemVRWarning,
    RequestError,
    UnsupportedModelError,
)
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.types import Image, Message, Request

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
        self.name = loaded.name
        self.tokenizer: PreTrainedTokenizerBase = self.processor.tokenizer
        # None is the processor's own; it does not look into its tokenizer by itself.
        self._template = None if self.processor.chat_template else self._other_template()
        if not (self.processor.chat_template or self._template):
            raise UnsupportedModelError(
                f"{self.name} has no chat template, so messages can't become a prompt. Choose an "
                "instruction-tuned checkpoint."
            )
        # Why MemVR can't attach to this model, which then decodes plainly, a row at a time.
        self.unsupported = _unsupported(self.model)
        self.vision = None if self.unsupported else VisionEncoder(self.model, self._shown, cache)
        text = self.model.config.get_text_config()
        self.context = context_window(self.model.config)
        self.layers = int(text.num_hidden_layers)
        self.image_token = self._image_token()
        token = str(self.tokenizer.convert_ids_to_tokens(self.image_token))
        # What stands for a whole picture, and what one visual token is: often the same.
        self._placeholder = str(getattr(self.processor, "image_token", None) or token)
        others = (getattr(self.processor, f"{kind}_token", None) for kind in ("video", "audio"))
        frame: Sequence[str] = getattr(self.processor, "image_frame", ())
        self._reserved = {self._placeholder, token, *frame, *filter(None, others)}
        self.end_tokens = self._end_tokens()
        # With which an encoder-decoder begins; the others have none.
        self.decoder_start: int | None = self.model.generation_config.decoder_start_token_id
        self.pad = self._pad()
        self.students = Students(self)
        self.grammars = Grammars(
            self.tokenizer, vocabulary=int(text.vocab_size), ends=self.end_tokens
        )

    def check_kind(self, image: PIL.Image.Image) -> None:
        """Warn when a model that knows drawings alone is shown a photograph."""
        if self.row is None or self.row.photographs or looks_drawn(image):
            return
        warnings.warn(
            f"{self.name} knows small drawn scenes only, and this looks like another kind of "
            "picture: don't trust the answer. For photographs use model='smolvlm-256m' (CPU) or "
            "'llava-1.5-7b' (GPU).",
            MemVRWarning,
            stacklevel=2,
        )

    def release(self) -> None:
        """Let the model's memory go."""
        self.students.release()
        if self.vision is not None:
            self.vision.release()
        del self.model, self.processor, self.tokenizer
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

    def fitted(self, request: Request, pictures: Sequence[Picture]) -> Prompt:
        """Tokenise a conversation, if it leaves room for a token.

        Raises:
            RequestError: An image got lost on the way.
            ContextLengthError: The prompt is too long.
        """
        prompt = self.write(request, pictures)
        if prompt.room < 1:
            raise ContextLengthError(
                f"The prompt has {prompt.length} tokens ({prompt.image_tokens} of images), but "
                f"{self.name} reads at most {self.context - 1}; send fewer images or a shorter "
                "conversation."
            )
        return prompt

    def write(self, request: Request, pictures: Sequence[Picture]) -> Prompt:
        """Tokenise a conversation, however long.

        Raises:
            RequestError: An image got lost on the way.
        """
        encoded = self._encoded(plain_messages(request), pictures)
        ids = encoded["input_ids"]
        image_tokens = int((ids == self.image_token).sum())
        if bool(image_tokens) != bool(pictures):
            raise self.lost(len(pictures), f"{image_tokens} image tokens")
        # Who encodes its pictures itself needs all that its processor made of them.
        inputs = dict(encoded) if self.vision is None else _text_side(encoded, ids)
        return Prompt(
            inputs=inputs, image_tokens=image_tokens, room=self.context - int(ids.shape[1])
        )

    def lost(self, pictures: int, became: str) -> RequestError:
        """The error for pictures that a prompt does not show as it should."""
        return RequestError(
            f"{pictures} image(s) became {became}: {self.name}'s chat template does not place "
            "images where this request has them. Put the images into user messages."
        )

    def spellings(self, text: str) -> list[tuple[int, ...]]:
        """The ways in which an answer may begin with a text: with and without a blank before it."""
        found = {
            tuple(self.tokenizer(start + text, add_special_tokens=False).input_ids): None
            for start in ("", " ")
        }
        return list(found)

    def _shown(self, images: Sequence[PIL.Image.Image]) -> Mapping[str, Tensor]:
        """What the processor makes of pictures in a prompt: pixels, and how they are cut."""
        shown: list[dict[str, object]] = [{"type": "image", "image": image} for image in images]
        content = [*shown, {"type": "text", "text": "?"}]
        return self._tokenise([{"role": "user", "content": content}], len(images))

    def _conversation(
        self, messages: Sequence[Message], pictures: Sequence[Picture]
    ) -> list[dict[str, object]]:
        known = iter(pictures)
        return [
            {
                "role": message.role,
                "content": [
                    {"type": "image", "image": next(known).image}
                    if isinstance(part, Image)
                    else {"type": "text", "text": self._harmless(part.text)}
                    for part in message.content
                ],
            }
            for message in messages
        ]

    def _encoded(
        self, messages: Sequence[Message], pictures: Sequence[Picture]
    ) -> Mapping[str, Tensor]:
        try:
            return self._tokenise(self._conversation(messages, pictures), len(pictures))
        except RequestError as error:
            refused = isinstance(error.__cause__, TemplateError)
            if not refused or all(message.role != "system" for message in messages):
                raise
            try:
                return self._tokenise(
                    self._conversation(without_system(messages), pictures), len(pictures)
                )
            except RequestError:
                raise error from error.__cause__

    def _tokenise(
        self, conversation: list[dict[str, object]], pictures: int
    ) -> Mapping[str, Tensor]:
        render = functools.partial(
            self.processor.apply_chat_template,
            conversation,  # type: ignore[arg-type]  # annotated for text alone
            chat_template=self._template,
            add_generation_prompt=True,
        )
        try:
            placed = str(render(tokenize=False)).count(self._placeholder)
            # A template may write what no attribute of its processor says: none is no proof.
            if placed and placed != pictures:
                raise self.lost(pictures, f"{placed} in the prompt")
            encoded: Mapping[str, Tensor] = render(
                tokenize=True, return_dict=True, return_tensors="pt"
            )  # type: ignore[assignment]
        except (TemplateError, ValueError) as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError(
                f"{self.name} can't read this conversation ({error}). Put images into user "
                "messages, and let user and assistant take turns."
            ) from error
        return encoded

    def _harmless(self, text: str) -> str:
        reserved = next((token for token in self._reserved if token in text), None)
        if reserved is not None:
            raise RequestError(
                f"A message's text holds {reserved!r}, which {self.name} takes for an "
                "image or the like. Remove it from the text and pass the picture as Image(...)."
            )
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RequestError(
                "A message's text holds half characters (lone surrogates), as text has that was "
                "not UTF-8 when it was read. Decode it anew with its own encoding."
            ) from None
        return text

    def _other_template(self) -> str | None:
        """The prompt format of a processor that has none."""
        tokenizers = self.tokenizer.chat_template
        if isinstance(tokenizers, dict):  # several by name, for tools and the like
            tokenizers = tokenizers.get("default")
        if isinstance(tokenizers, str) and tokenizers:
            return tokenizers
        return FORMATS.get(self.model.config.model_type)

    def _image_token(self) -> int:
        config = self.model.config
        found = getattr(config, "image_token_id", getattr(config, "image_token_index", None))
        if not isinstance(found, int):
            raise UnsupportedModelError(
                f"{self.name} has no image token, so its images don't lie in the prompt. Choose "
                "a model like LLaVA or SmolVLM."
            )
        return found

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


def _text_side(encoded: Mapping[str, Tensor], ids: Tensor) -> dict[str, Tensor]:
    """What the decoder needs; pixels stay behind, their features come from the cache.

    So do the labels that PaliGemma's processor writes for training: its attention would differ.
    """
    return {
        name: value
        for name, value in encoded.items()
        if isinstance(value, torch.Tensor)
        and name != "labels"
        and (value.shape == ids.shape or name.endswith("grid_thw"))
    }
