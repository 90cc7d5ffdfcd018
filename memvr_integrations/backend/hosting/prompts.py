"""Writes conversations with a model's chat template, as tokens; and pictures that were decoded."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import PIL.Image
import torch
from jinja2 import TemplateError
from torch import Tensor

from memvr_integrations.backend.hosting.conversation import plain_messages, without_system
from memvr_integrations.backend.hosting.noise import Noise
from memvr_integrations.errors import ContextLengthError, RequestError, UnsupportedModelError
from memvr_integrations.types import Image, Message, Request

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase, ProcessorMixin

# Prompt formats of families whose checkpoints bring no chat template, by model type.
# One picture or several, then one question; the processor adds what stands between and after.
_PALIGEMMA = (
    "{% if messages | length != 1 or messages[0]['role'] != 'user' %}"
    "{{ raise_exception('PaliGemma answers one question: send a single user message') }}"
    "{% endif %}"
    "{% set parts = messages[0]['content'] %}"
    "{% set pictures = parts | selectattr('type', 'equalto', 'image') | list %}"
    "{% if not pictures %}"
    "{{ raise_exception('PaliGemma answers about pictures: send one with the question') }}"
    "{% endif %}"
    "{{ '<image>' * (pictures | length) }}"
    "{{ parts | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('\n') }}"
)

# One picture and one question, which the processor puts after the picture by itself.
_SINGLE = (
    "{{% if messages | length != 1 or messages[0]['role'] != 'user' %}}"
    "{{{{ raise_exception('{name} answers one question: send a single user message') }}}}"
    "{{% endif %}}"
    "{{% set parts = messages[0]['content'] %}}"
    "{{% if parts | selectattr('type', 'equalto', 'image') | list | length != 1 %}}"
    "{{{{ raise_exception('{name} answers about one picture: send one with the question') }}}}"
    "{{% endif %}}"
    "{before}"
    "{{{{ parts | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('\n') }}}}"
    "{after}"
)

_FORMATS = {
    "paligemma": _PALIGEMMA,
    "blip-2": _SINGLE.format(name="BLIP-2", before="Question: ", after=" Answer:"),
    "instructblip": _SINGLE.format(name="InstructBLIP", before="", after=""),
    "florence2": _SINGLE.format(name="Florence-2", before="", after=""),
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded image, the hash of its pixels, and the noise through which it is to be seen."""

    image: PIL.Image.Image
    hash: str
    noise: Noise | None = None


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A tokenised conversation; every tensor of `inputs` has one row.

    `room` is how many tokens its model can still read after it.
    """

    inputs: dict[str, Tensor]
    image_tokens: int
    room: int

    @property
    def length(self) -> int:
        """Tokens, image tokens included."""
        return int(self.inputs["input_ids"].shape[1])


class PromptWriter:
    """Writes conversations as one model's own template and tokenizer have them.

    `context` is how many tokens the model reads. `whole_inputs` says that the model encodes its
    pictures itself, and needs all that its processor makes of them.
    """

    def __init__(
        self,
        name: str,
        processor: "ProcessorMixin",
        settings: "PretrainedConfig",
        *,
        context: int,
        whole_inputs: bool,
    ) -> None:
        """Find the template, and the token that stands for images.

        Raises:
            UnsupportedModelError: The model lacks one of them.
        """
        self._name, self._processor = name, processor
        self._context, self._whole_inputs = context, whole_inputs
        tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        # None is the processor's own; it does not ask its tokenizer by itself.
        self.template = None
        if not processor.chat_template:
            self.template = _other_template(tokenizer, settings)
        if not (processor.chat_template or self.template):
            raise UnsupportedModelError(
                f"{name} has no chat template, so messages can't become a prompt. Choose an "
                "instruction-tuned checkpoint."
            )
        self.image_token = _image_token(name, settings)
        token = str(tokenizer.convert_ids_to_tokens(self.image_token))
        # What stands for a whole picture, and what one visual token is: often the same.
        self._placeholder = str(getattr(processor, "image_token", None) or token)
        others = (getattr(processor, f"{kind}_token", None) for kind in ("video", "audio"))
        frame: Sequence[str] = getattr(processor, "image_frame", ())
        self._reserved = {self._placeholder, token, *frame, *filter(None, others)}

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
                f"{self._name} reads at most {self._context - 1}; send fewer images or a shorter "
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
        inputs = dict(encoded) if self._whole_inputs else _text_side(encoded, ids)
        return Prompt(
            inputs=inputs, image_tokens=image_tokens, room=self._context - int(ids.shape[1])
        )

    def lost(self, pictures: int, became: str) -> RequestError:
        """The error for pictures that a prompt does not show as it should."""
        return RequestError(
            f"{pictures} image(s) became {became}: {self._name}'s chat template does not place "
            "images where this request has them. Put the images into user messages."
        )

    def shown(self, images: Sequence[PIL.Image.Image]) -> Mapping[str, Tensor]:
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
            self._processor.apply_chat_template,
            conversation,  # type: ignore[arg-type]  # annotated for text alone
            chat_template=self.template,
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
                f"{self._name} can't read this conversation ({error}). Put images into user "
                "messages, and let user and assistant take turns."
            ) from error
        return encoded

    def _harmless(self, text: str) -> str:
        reserved = next((token for token in self._reserved if token in text), None)
        if reserved is not None:
            raise RequestError(
                f"A message's text holds {reserved!r}, which {self._name} takes for an "
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


def _other_template(
    tokenizer: "PreTrainedTokenizerBase", settings: "PretrainedConfig"
) -> str | None:
    """The prompt format of a processor that has none."""
    templates = tokenizer.chat_template
    if isinstance(templates, dict):  # several by name, for tools and the like
        templates = templates.get("default")
    if isinstance(templates, str) and templates:
        return templates
    return _FORMATS.get(settings.model_type)


def _image_token(name: str, settings: "PretrainedConfig") -> int:
    found = getattr(settings, "image_token_id", getattr(settings, "image_token_index", None))
    if not isinstance(found, int):
        raise UnsupportedModelError(
            f"{name} has no image token, so its images don't lie in the prompt. Choose "
            "a model like LLaVA or SmolVLM."
        )
    return found


def _text_side(encoded: Mapping[str, Tensor], ids: Tensor) -> dict[str, Tensor]:
    """What the decoder needs; no pixels, for their features come from the cache.

    So do the labels that PaliGemma's processor writes for training: its attention would differ.
    """
    return {
        name: value
        for name, value in encoded.items()
        if isinstance(value, torch.Tensor)
        and name != "labels"
        and (value.shape == ids.shape or name.endswith("grid_thw"))
    }
