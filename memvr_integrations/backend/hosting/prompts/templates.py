"""A checkpoint's chat template, and the proof that it shows a conversation as it is.

Templates leave out what they were not made for, without a word. So each conversation is rendered
twice. First with marks in place of its texts: each must stand in the prompt once and in order,
each picture in its message. A mark has control characters, which Python's and JSON's forms of a
list escape, so a message that is printed as one does not count as text. The first form that is
right is taken for the texts themselves.
"""

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import PIL.Image
from jinja2 import TemplateError

from memvr_integrations.backend.hosting.prompts.forms import FORMS, Form, Part, Written
from memvr_integrations.errors import RequestError
from memvr_integrations.types import Image, Message, Text

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

_MARK = "\x01{}\x02"
_MARKED = re.compile("\x01([0-9]+)\x02")
_THOUGHT_ENDS = ("</think>", "<channel|>")
# What was checked is what is read: transformers renders once more on its way to the tokens, and
# takes an empty text for an empty list there.
_AS_RENDERED = (
    "{%- for part in messages[0]['content'] if part['type'] == 'text' -%}"
    "{{- part['text'] -}}{%- endfor -%}"
)
_START = 40  # characters of a text by which an error names it
# What templates raise on content that is not of their form.
_MISREAD = (TemplateError, TypeError, ValueError, LookupError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A conversation as a template writes it; `marked` has marks in place of texts."""

    text: str
    marked: str


class ChatTemplate:
    """What renders conversations for one model.

    `own` is the template where the processor has none, `placeholder` what stands for a picture
    in a rendered prompt: as the template writes it if it writes an added token, else as given.
    """

    def __init__(
        self, name: str, processor: "ProcessorMixin", *, own: str | None, placeholder: str
    ) -> None:
        self._name, self._processor, self.own = name, processor, own
        self.placeholder, self._sure = placeholder, True
        self._find_placeholder()

    @property
    def source(self) -> str:
        """The template's text."""
        templates = self.own or self._processor.chat_template or ""
        if isinstance(templates, dict):
            return "\n".join(map(str, templates.values()))
        return str(templates)

    def show(self, messages: Sequence[Message]) -> Shown:
        """Write a conversation, each text once and in order, each picture in its message.

        Raises:
            RequestError: No form of it does that.
        """
        form, marked = self._form(messages)
        try:
            text = self.render(form.written(messages))
        except _MISREAD as error:
            raise self.misread(error) from error
        self._check_texts(text, form.placed(messages))
        pictures = sum(len(_images(message)) for message in messages)
        if self._sure and text.count(self.placeholder) != pictures:
            raise self.lost(pictures, f"{text.count(self.placeholder)} in the prompt")
        return Shown(text=text, marked=marked)

    def check(self, messages: Sequence[Message]) -> None:
        """Try a conversation with any texts.

        Raises:
            RequestError: No form of it is shown rightly.
        """
        self._form(messages)

    def around(self, messages: Sequence[Message]) -> list[str]:
        """What the template writes before, between and after texts; [] if it can't read them."""
        try:
            return _MARKED.split(self._form(messages)[1])[::2]
        except RequestError:
            return []

    def lost(self, pictures: int, became: str) -> RequestError:
        """The error for pictures that a prompt does not show as it should."""
        return RequestError(
            f"{pictures} image(s) became {became}: {self._name}'s chat template does not place "
            "images where this request has them. Put the images into user messages."
        )

    def misread(self, error: Exception) -> RequestError:
        """The error for a conversation that the template or the processor refuses."""
        return RequestError(
            f"{self._name} can't read this conversation ({error}). Put images into user "
            "messages, and let user and assistant take turns."
        )

    def render(self, written: Written) -> str:
        """The prompt's text, with placeholders for pictures."""
        return str(
            self._processor.apply_chat_template(
                written,  # type: ignore[arg-type]  # annotated for text alone
                chat_template=self.own,
                add_generation_prompt=True,
                tokenize=False,
            )
        )

    def tokenise(
        self, text: str, pictures: Sequence[PIL.Image.Image], reader: "ProcessorMixin"
    ) -> Mapping[str, "Tensor"]:
        """A rendered prompt's tokens and its pictures' pixels, by the processor or its copy."""
        images: list[Part] = [{"type": "image", "image": picture} for picture in pictures]
        content: list[Part] = [*images, {"type": "text", "text": text}]
        conversation: Written = [{"role": "user", "content": content}]
        try:
            return reader.apply_chat_template(
                conversation,  # type: ignore[arg-type]  # as above
                chat_template=_AS_RENDERED,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )  # type: ignore[return-value]
        except (TemplateError, ValueError) as error:
            raise self.misread(error) from error

    def _form(self, messages: Sequence[Message]) -> tuple[Form, str]:
        """The first form that is right, and what it makes of marked messages."""
        marked = _with_marks(messages)
        tried: list[Written] = []
        losses: list[RequestError] = []
        refusals: list[Exception] = []
        for form in FORMS:
            written = form.written(marked)
            if written in tried:
                continue
            tried.append(written)
            try:
                rendered = self.render(written)
            except _MISREAD as error:
                refusals.append(error)
                continue
            problem = self._problem(rendered, form.placed(messages))
            if problem is None:
                return form, rendered
            losses.append(problem)
        if losses:
            raise losses[0]
        raise self.misread(refusals[0]) from refusals[0]

    def _problem(self, rendered: str, messages: Sequence[Message]) -> RequestError | None:
        """What is wrong with a rendering of messages with marks."""
        images = [at for at, message in enumerate(messages) for _ in _images(message)]
        placed = rendered.count(self.placeholder)
        if placed != len(images) and (placed or self._sure):
            return self.lost(len(images), f"{placed} in the prompt")
        texts = list(_texts(messages))
        each = re.compile(f"{_MARKED.pattern}|{re.escape(self.placeholder)}")
        seen = [int(found[1]) if found[1] else None for found in each.finditer(rendered)]
        times = Counter(seen)
        for number, (_, role, text) in enumerate(texts):
            if times[number] != 1:
                return self._spoils(role, text, "repeats" if times[number] else "leaves out")
        # A system prompt may stand where the template wants it.
        order = [n for n in seen if n is None or texts[n][1] != "system"]
        for before, after in itertools.pairwise(n for n in order if n is not None):
            if before > after:
                return self._spoils(*texts[after][1:], "moves")
        shown = iter(images)
        places = [next(shown) if n is None else texts[n][0] for n in order]
        if places != sorted(places):
            return self.lost(len(images), "part of other messages")
        return None

    def _spoils(self, role: str, text: str, how: str) -> RequestError:
        start = text if len(text) <= _START else f"{text[:_START]}..."
        return RequestError(
            f"{self._name}'s chat template {how} a text of this conversation ({role}: {start!r}). "
            "Say it in a user message, or choose a model whose template knows such messages."
        )

    def _check_texts(self, rendered: str, messages: Sequence[Message]) -> None:
        """Look for each text itself, for a template may look into texts and cut them.

        Thinking models' templates leave out what an earlier answer thought; that is as it was
        meant. Blanks around a text may go as well.
        """
        at = 0
        for _, role, text in _texts(messages):
            kept = [text.strip()]
            if role == "assistant":
                kept += [text.rpartition(end)[2].strip() for end in _THOUGHT_ENDS if end in text]
            start = 0 if role == "system" else at
            found = next(
                (place + len(core) for core in kept if (place := rendered.find(core, start)) >= 0),
                None,
            )
            if found is None:
                raise self._spoils(role, text, "changes")
            at = at if role == "system" else found

    def _find_placeholder(self) -> None:
        """Take the token that a picture adds to a prompt where it is not the one given."""
        alone = self._first_rendering([Message("user", "?")])
        shown = self._first_rendering([Message("user", [Image(b""), "?"])])
        if self.placeholder in shown:
            return
        tokenizer: PreTrainedTokenizerBase = self._processor.tokenizer
        added = (token.content for token in tokenizer.added_tokens_decoder.values())
        more = [token for token in added if shown.count(token) > alone.count(token)]
        self._sure = bool(more)
        self.placeholder = min(more, key=shown.index, default=self.placeholder)

    def _first_rendering(self, messages: Sequence[Message]) -> str:
        for form in FORMS:
            with contextlib.suppress(*_MISREAD):
                return self.render(form.written(messages))
        return ""


def _texts(messages: Sequence[Message]) -> Iterator[tuple[int, str, str]]:
    """Each text with its message's place and role."""
    for at, message in enumerate(messages):
        for part in message.content:
            if isinstance(part, Text):
                yield at, message.role, part.text


def _images(message: Message) -> list[Image]:
    return [part for part in message.content if isinstance(part, Image)]


def _with_marks(messages: Sequence[Message]) -> list[Message]:
    numbers = itertools.count()
    return [
        Message(
            message.role,
            [
                Text(_MARK.format(next(numbers))) if isinstance(part, Text) else part
                for part in message.content
            ],
        )
        for message in messages
    ]
