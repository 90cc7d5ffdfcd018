"""Captions of images, asked of a model once for each picture and prompt: `captions.sqlite`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock
from llama_index.core.llms import LLM
from llama_index.core.schema import BaseNode, TransformComponent
from pydantic import Field, PrivateAttr, SerializeAsAny

from memvr_integrations.backend.images import DEFAULT_POLICY, ImagePolicy, read_image
from memvr_integrations.grounding.captions import CAPTION_PROMPT, caption_from
from memvr_integrations.grounding.collections.kept_captions import (
    Caption,
    KeptCaptions,
    caption_key,
)
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.blocks import image_block, is_image, source_of_node
from memvr_integrations.llama_index.llm.checks import CheckedComponent
from memvr_integrations.types import ReadImage
from memvr_integrations.wire.blocking import wait_for


def policy_of(llm: object) -> ImagePolicy:
    """Which pictures an LLM lets in; the default where it says nothing."""
    return llm._policy() if isinstance(llm, MemVRMultiModalLLM) else DEFAULT_POLICY


class CaptionImages(CheckedComponent, TransformComponent):
    """Writes a caption into the text of every node with an image that has none.

    That is image nodes, image documents and nodes with an `image_resource`. For an
    `IngestionPipeline`, or alone. What was captioned before under the same pixels, model,
    settings and prompt comes out of `cache`, a file; without one, out of memory.
    """

    llm: SerializeAsAny[LLM]
    prompt: str = CAPTION_PROMPT
    cache: Path | None = None
    batch_size: int = Field(default=16, ge=1)

    _known: KeptCaptions | None = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Its name in what is written to disk."""
        return "memvr_caption_images"

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """The nodes, each image with its caption.

        Raises:
            ImageError: A node's picture can't be used.
            MemVRError: As the LLM does.
        """
        return wait_for(self.acall(nodes, **kwargs))

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """The same for asyncio."""
        bare = [node for node in nodes if is_image(node) and not node.get_content().strip()]
        for start in range(0, len(bare), self.batch_size):
            batch = bare[start : start + self.batch_size]
            captions = await asyncio.gather(*(self.caption(source_of_node(n)) for n in batch))
            for node, text in zip(batch, captions, strict=True):
                node.set_content(text)
        return nodes

    async def caption(self, source: Any) -> str:
        """The caption of one picture: a path, a URL that the LLM may open, bytes, or pixels.

        Raises:
            ImageError: The picture can't be used.
        """
        picture = await self.picture(source)
        if self._known is None:
            self._known = KeptCaptions(self.cache)
        key = await asyncio.to_thread(self._key, picture.hash)
        kept = await self._known.get(key, lambda: self._described(picture))
        return kept.text

    async def _described(self, picture: ReadImage) -> Caption:
        answer = await self._answer(picture)
        text = caption_from(
            answer.message.content or "", prompt=self.prompt, model=self.llm.metadata.model_name
        )
        return Caption(text=text)

    async def _answer(self, picture: ReadImage) -> ChatResponse:
        text = TextBlock(text=self.prompt)
        if isinstance(self.llm, MemVRMultiModalLLM):
            # As it is: writing a photograph's PNG takes seconds, and reading it again half of one.
            asked = [ChatMessage(role="user", blocks=[text])]
            answer: ChatResponse = await self.llm.achat(
                asked, image_documents=[picture], abstain=None
            )
            return answer
        block = await asyncio.to_thread(image_block, picture)
        return await self.llm.achat([ChatMessage(role="user", blocks=[block, text])])

    async def picture(self, source: Any) -> ReadImage:
        """One picture; URLs and file:// are the LLM's to allow.

        Raises:
            ImageError: It can't be used.
        """
        return await asyncio.to_thread(read_image, source, policy_of(self.llm))

    def close(self) -> None:
        """Close the file of captions."""
        if self._known is not None:
            self._known.close()
            self._known = None

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """With the key of the model that answers: a pipeline keeps results under all this."""
        return super().to_dict(**kwargs) | {"answering": self._answering()}

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """The component again, of what `to_dict` wrote."""
        return super().from_dict({k: v for k, v in data.items() if k != "answering"}, **kwargs)

    def _answering(self) -> str | None:
        """A model's key; one that was built in memory has a new one in each process."""
        return self.llm._identity({}).key if isinstance(self.llm, MemVRMultiModalLLM) else None

    def _key(self, pixels: str) -> str:
        # Whatever an LLM withholds of answers, it captions alike.
        options = {k: v for k, v in self.llm.to_dict().items() if k != "abstain"}
        return caption_key(pixels, self.prompt, options, self._answering())
