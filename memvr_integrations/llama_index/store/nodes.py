"""Images with their captions, as LlamaIndex's own components want to see them."""

import asyncio
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import (
    BaseContentBlock,
    ChatMessage,
    ImageBlock,
    TextBlock,
)
from llama_index.core.llms import LLM
from llama_index.core.schema import ImageNode, MetadataMode
from pydantic import PrivateAttr

from memvr_integrations.backend.images import encoded_image, page_of
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.store.captions import policy_of


class _Viewer:
    """Who is shown an image; no part of it, so that it is neither copied nor pickled with it."""

    def __init__(self, llm: LLM | None = None) -> None:
        self.llm = llm

    def __deepcopy__(self, memo: dict[int, object]) -> "_Viewer":
        return self

    def __reduce__(self) -> tuple[type["_Viewer"], tuple[()]]:
        return _Viewer, ()


class MeasuredImage(ImageBlock):
    """An image that costs what it costs: core takes every image for 2125 tokens."""

    _viewer: _Viewer = PrivateAttr(default_factory=_Viewer)

    async def aestimate_tokens(self, *args: Any, **kwargs: Any) -> int:
        """The image's tokens under its collection's LLM; core's estimate under another's."""
        llm = self._viewer.llm
        if not isinstance(llm, MemVRMultiModalLLM):
            return int(await super().aestimate_tokens(*args, **kwargs))
        asked = [ChatMessage(role="user", blocks=[self])]
        usage = await asyncio.to_thread(llm.count_tokens, asked)
        return usage.image_tokens


class CaptionedImage(ImageNode):
    """An image whose caption reaches the LLM too; core's own nodes show the picture alone."""

    _viewer: _Viewer = PrivateAttr(default_factory=_Viewer)

    @classmethod
    def of(cls, node: ImageNode, llm: LLM) -> "CaptionedImage":
        """The same image, for an LLM."""
        given = {name: getattr(node, name) for name in type(node).model_fields}
        made = cls(**given | {"text": node.text})
        made._viewer = _Viewer(llm)
        return made

    def get_content_blocks(
        self, metadata_mode: MetadataMode = MetadataMode.NONE
    ) -> list[BaseContentBlock]:
        """The caption, then the picture."""
        metadata = self.get_metadata_str(metadata_mode)
        text = "\n".join(part for part in (metadata, self.text) if part)
        picture = self._picture()
        picture._viewer = self._viewer
        return [TextBlock(text=text), picture] if text else [picture]

    def _picture(self) -> MeasuredImage:
        path = Path(self.image_path) if self.image_path else None
        if path and page_of(path):  # core takes files alone
            data, media = encoded_image(path, policy_of(self._viewer.llm))
            return MeasuredImage(image=data, image_mimetype=media)
        encoded = self.image.encode() if self.image else None
        return MeasuredImage(image=encoded, path=path, url=self.image_url)
