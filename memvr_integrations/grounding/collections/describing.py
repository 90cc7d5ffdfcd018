"""What is said of a picture so that it is found: a caption, several short descriptions, facets."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from memvr_integrations.checks import check_integer, check_kind, check_text
from memvr_integrations.grounding.captions import CAPTION_PROMPT, caption_from
from memvr_integrations.grounding.collections.kept_captions import (
    Caption,
    KeptCaptions,
    caption_key,
)
from memvr_integrations.types import Completion, Image, Message, ReadImage, Request
from memvr_integrations.wire.options import ModelOptions

DESCRIPTIONS = 4
"""How many short descriptions a picture has beside its caption."""
_SAMPLED = {"temperature": 1.0, "seed": 0}


@dataclass(frozen=True, kw_only=True)
class Describing:
    """What is asked of every picture.

    `descriptions` more answers to `prompt` are sampled: they name what the caption leaves out.
    `facets` are questions by name, what people search by: `{"place": "Where is this?"}`.

    Raises:
        ConfigError: A prompt is no text, a facet has no name, or the number is negative.
    """

    prompt: str = CAPTION_PROMPT
    descriptions: int = DESCRIPTIONS
    facets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        check_text("prompt", self.prompt)
        check_integer("descriptions", self.descriptions, least=0, most=64)
        check_kind("facets", self.facets, Mapping, '{"place": "Where is this?"}')
        for name, question in self.facets.items():
            check_text("A name in facets", name)
            check_text(f"facets[{name!r}]", question, "a question about a picture")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a model says of a picture.

    `completion` is the caption's own, None where the caption was kept from before.
    """

    caption: Caption
    others: tuple[str, ...]
    facets: dict[str, str]
    completion: Completion | None = field(default=None, repr=False)

    @property
    def words(self) -> str:
        """All that is said of it, for a search by words."""
        return "\n".join([self.caption.text, *self.others, *self.facets.values()])


class Describer:
    """Asks a model about pictures; what it said of the same pixels before comes from a file."""

    def __init__(self, model: ModelOptions, asked: Describing, kept: KeptCaptions) -> None:
        """The options of `model` count for the caption; others are asked for as they need it."""
        self._model, self.asked, self._kept = model, asked, kept
        self._identity: str | None = None

    async def describe(self, picture: ReadImage) -> Description:
        """The caption of a picture, its other descriptions and its facets.

        Raises:
            ConfigError: The model says nothing of it.
            MemVRError: As the model does.
        """
        asked, made = self.asked, list[Completion]()

        async def caption() -> Caption:
            made.append(await self._ask(picture, asked.prompt))
            text = caption_from(made[0].text, prompt=asked.prompt, model=made[0].model)
            return Caption(text=text, unsureness=made[0].unsureness)

        first = await self._kept.get(await self._key(picture, asked.prompt), caption)
        return replace(await self.beside(picture, first), completion=made[0] if made else None)

    async def beside(self, picture: ReadImage, caption: Caption) -> Description:
        """A picture's other descriptions and its facets, beside a caption that is there."""
        others, facets = await asyncio.gather(
            self._others(picture),
            asyncio.gather(*(self._facet(picture, one) for one in self.asked.facets.values())),
        )
        named = dict(zip(self.asked.facets, facets, strict=True))
        return Description(caption=caption, others=tuple(others), facets=named)

    def request(self, picture: ReadImage) -> Request:
        """What the caption is asked for with."""
        return self._request(picture, self.asked.prompt, {})

    def close(self) -> None:
        """Close the file that it keeps."""
        self._kept.close()

    async def _others(self, picture: ReadImage) -> list[str]:
        count, prompt = self.asked.descriptions, self.asked.prompt
        if not count:
            return []
        options = {**_SAMPLED, "n": count}

        async def sampled() -> str:
            done = await self._ask(picture, prompt, options)
            return json.dumps([one.text.strip() for one in (done, *done.alternatives)])

        key = await self._key(picture, prompt, options)
        texts: list[str] = json.loads(await self._kept.note(key, sampled))
        return texts

    async def _facet(self, picture: ReadImage, question: str) -> str:
        async def answer() -> str:
            return (await self._ask(picture, question)).text.strip()

        return await self._kept.note(await self._key(picture, question, "facet"), answer)

    async def note(
        self, picture: ReadImage, *about: str, text: Callable[[], Awaitable[str]]
    ) -> str:
        """A text about a picture and its caption that is kept beside it."""
        return await self._kept.note(await self._key(picture, self.asked.prompt, *about), text)

    async def _ask(
        self, picture: ReadImage, prompt: str, options: Mapping[str, object] | None = None
    ) -> Completion:
        options = options or {}
        return await self._model._aanswer(self._request(picture, prompt, options), options)

    def _request(self, picture: ReadImage, prompt: str, options: Mapping[str, object]) -> Request:
        message = Message("user", [Image(picture), prompt])
        return self._model._to_request([message], options)

    async def _key(self, picture: ReadImage, prompt: str, *more: object) -> str:
        if self._identity is None:  # which model it is may have to be read from its weights
            self._identity = (await asyncio.to_thread(self._model._identity, {})).key
        settings = self._request(picture, prompt, {})
        said = [settings.sampling, settings.memvr, settings.decoding]
        return caption_key(picture.hash, prompt, self._identity, repr(said), *more)
