"""Captions of images, written once for each picture, model and setting."""

import asyncio
import hashlib
import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, TextBlock
from llama_index.core.llms import LLM
from llama_index.core.schema import BaseNode, ImageNode, TransformComponent
from pydantic import Field, PrivateAttr, SerializeAsAny

from memvr_integrations.backend.images import DEFAULT_POLICY, load_image, pixel_hash
from memvr_integrations.errors import ConfigError
from memvr_integrations.llama_index.blocking import wait_for
from memvr_integrations.llama_index.blocks import image_block, source_of_node
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM

CAPTION_PROMPT = "Describe the picture."


class CaptionCache:
    """Captions on disk, by what they depend on; safe against being killed at any time."""

    def __init__(self, path: str | Path) -> None:
        """`path` is a file, or ":memory:"."""
        self._lock = threading.Lock()
        self._db = sqlite3.connect(str(path), check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS captions (key TEXT PRIMARY KEY, text TEXT)")
        self._db.commit()

    def get(self, key: str) -> str | None:
        """A caption, if there is one."""
        with self._lock:
            row = self._db.execute("SELECT text FROM captions WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, text: str) -> None:
        """Keep a caption; it is on disk when this returns."""
        with self._lock, self._db:
            self._db.execute("INSERT OR REPLACE INTO captions VALUES (?, ?)", (key, text))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class CaptionImages(TransformComponent):
    """Writes a caption into the text of every image node that has none.

    For an `IngestionPipeline`, or alone. What was captioned before under the same pixels, model,
    settings and prompt comes out of `cache`, a file; without one, out of memory.
    """

    llm: SerializeAsAny[LLM]
    prompt: str = CAPTION_PROMPT
    cache: Path | None = None
    batch_size: int = Field(default=16, ge=1)

    _known: CaptionCache | None = PrivateAttr(default=None)

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
        bare = [node for node in nodes if isinstance(node, ImageNode) and not node.text]
        for start in range(0, len(bare), self.batch_size):
            batch = bare[start : start + self.batch_size]
            captions = await asyncio.gather(*(self.caption(source_of_node(n)) for n in batch))
            for node, text in zip(batch, captions, strict=True):
                node.text = text
        return nodes

    async def caption(self, source: Any) -> str:
        """The caption of one picture: a path, a URL that the LLM may open, bytes, or pixels.

        Raises:
            ImageError: The picture can't be used.
        """
        # URLs and file:// are the LLM's to allow.
        llm = self.llm
        policy = llm.image_policy if isinstance(llm, MemVRMultiModalLLM) else DEFAULT_POLICY
        image = await asyncio.to_thread(load_image, source, policy)
        if self._known is None:
            self._known = CaptionCache(self.cache or ":memory:")
        key = self._key(pixel_hash(image))
        text = self._known.get(key)
        if text is None:
            blocks = [image_block(image), TextBlock(text=self.prompt)]
            answer = await self.llm.achat([ChatMessage(role="user", blocks=blocks)])
            text = answer.message.content or ""
            if not text.strip():
                raise ConfigError(
                    f"{self.llm.metadata.model_name} gave an empty caption to "
                    f"prompt={self.prompt!r}; change the prompt or the model."
                )
            self._known.put(key, text)
        return text

    def close(self) -> None:
        """Close the file of captions."""
        if self._known is not None:
            self._known.close()
            self._known = None

    def _key(self, pixels: str) -> str:
        told = json.dumps([pixels, self.prompt, self.llm.to_dict()], sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()
