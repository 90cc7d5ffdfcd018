"""Writes conversations with a model's chat template, as tokens; and pictures that were decoded."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import PIL.Image
import torch
from torch import Tensor

from memvr_integrations.backend.hosting.noise import Noise
from memvr_integrations.backend.hosting.prompts.built_in_templates import BUILT_IN
from memvr_integrations.backend.hosting.prompts.conversation import (
    plain_messages,
    shown_schema,
    shown_tool,
)
from memvr_integrations.backend.hosting.prompts.plain_text import Marks, RoleMarks, role_marks
from memvr_integrations.backend.hosting.prompts.templates import ChatTemplate
from memvr_integrations.backend.hosting.sizes import ByPicture
from memvr_integrations.errors import (
    ContextLengthError,
    MemVRWarning,
    RequestError,
    UnsupportedModelError,
)
from memvr_integrations.types import Image, Message, Request, Text

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase, ProcessorMixin

# Every way in which one turn may follow another.
_TURNS = (
    Message("system", "0"),
    Message("user", "1"),
    Message("assistant", "2"),
    Message("user", "3"),
)
_QUESTION = (Message("user", [Image(b""), Text("?")]),)


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
        """Find the template, what stands for images, and what marks turns.

        Raises:
            UnsupportedModelError: The model lacks one of them, or its template shows no pictures.
        """
        self._name = name
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
        own = str(getattr(processor, "image_token", None) or token)
        self._chat = ChatTemplate(name, processor, own=self.template, placeholder=own)
        others = (getattr(processor, f"{kind}_token", None) for kind in ("video", "audio"))
        frame: Sequence[str] = getattr(processor, "image_frame", ())
        known = {own, self._chat.placeholder, token}
        self._reserved = {*known, *frame, *filter(None, others)}
        sizes = ByPicture(processor)
        self._showing = sizes.showing
        reader = processor if whole_inputs else sizes.writing
        self._marks = Marks(name, reader, self._chat.source)
        around = self._chat.around(_TURNS)
        self._roles = RoleMarks(role_marks(around, {*known, *self._marks.tokens}))
        try:
            self._chat.check(_QUESTION)
        except RequestError as error:
            raise UnsupportedModelError(
                f"A question with a picture can't be shown to {name}: {error} Its template may be "
                "another version's, or damaged: download it anew."
            ) from error

    @property
    def role_marks(self) -> tuple[str, ...]:
        """What marks turns as ordinary text, as `USER:` does; texts that spell it are broken up."""
        return self._roles.marks

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
        images = [picture.image for picture in pictures]
        encoded = self._tokenise(plain_messages(request, self._guard), images)
        ids = encoded["input_ids"]
        image_tokens = int((ids == self.image_token).sum())
        if bool(image_tokens) != bool(pictures):
            raise self.lost(len(pictures), f"{image_tokens} image tokens")
        inputs = dict(encoded) if self._whole_inputs else _text_side(encoded, ids)
        return Prompt(
            inputs=inputs, image_tokens=image_tokens, room=self._context - int(ids.shape[1])
        )

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a text alone, as others write it: what spells a mark is read as text.

        Raises:
            RequestError: The tokenizer knows no such reading of a mark in it.
        """
        seamed = self._marks.seamed(text)
        tokenizer = self._marks.processor_for(seamed).tokenizer
        return tuple(tokenizer(seamed, add_special_tokens=False).input_ids)

    def lost(self, pictures: int, became: str) -> RequestError:
        """The error for pictures that a prompt does not show as it should."""
        return self._chat.lost(pictures, became)

    def warn_of_marks(self, request: Request) -> None:
        """Warn of texts that spell marks which no tokenizer can set apart, as `USER:`."""
        found = {
            f"Message {number} ({message.role})": self._roles.found(message)
            for number, message in enumerate(request.messages, start=1)
        }
        for tool in request.callable_tools:
            found[f"The tool {tool.name!r}"] = self._roles.spelled(shown_tool(tool))
        if request.response_format is not None:
            schema = shown_schema(request.response_format)
            found["The answer's schema"] = self._roles.spelled(schema)
        for place, marks in found.items():
            if marks:
                read = [self._roles.broken(mark) for mark in marks]
                warnings.warn(
                    f"{place} spells {_listed(marks)}, which marks turns in {self._name}'s "
                    f"prompts. The model reads {_listed(read)} instead, so that a text can't pass "
                    "for somebody's turn.",
                    MemVRWarning,
                    stacklevel=2,
                )

    def shown(self, images: Sequence[PIL.Image.Image]) -> Mapping[str, Tensor]:
        """What the processor makes of copies of one picture: pixels, and how they are cut."""
        asked = Message("user", [*(Image(image) for image in images), Text("?")])
        return self._chat.tokenise(self._chat.show([asked]).text, images, self._showing)

    def _tokenise(
        self, messages: Sequence[Message], images: Sequence[PIL.Image.Image]
    ) -> Mapping[str, Tensor]:
        messages = [self._roles.apart(message) for message in messages]
        shown = self._chat.show(messages)
        texts = [p.text for m in messages for p in m.content if isinstance(p, Text)]
        known = sum(map(self._marks.count, texts), self._marks.count(shown.marked))
        if self._marks.count(shown.text) != known:
            # Where a text ends and another one begins there stands a mark that neither has.
            shown = self._chat.show([self._marks.seamed_ends(message) for message in messages])
        return self._chat.tokenise(shown.text, images, self._marks.processor_for(shown.text))

    def _guard(self, text: str, *, by_model: bool = False) -> str:
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
        return self._marks.seamed(self._roles.broken(text), by_model=by_model)


def _listed(marks: Sequence[str]) -> str:
    return ", ".join(map(repr, marks))


def _other_template(
    tokenizer: "PreTrainedTokenizerBase", settings: "PretrainedConfig"
) -> str | None:
    """The prompt format of a processor that has none."""
    templates = tokenizer.chat_template
    if isinstance(templates, dict):  # several by name, for tools and the like
        templates = templates.get("default")
    if isinstance(templates, str) and templates:
        return templates
    return BUILT_IN.get(settings.model_type)


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
