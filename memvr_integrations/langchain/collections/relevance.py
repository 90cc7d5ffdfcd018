"""Keeps the pictures that show what a question is about, as the model sees them."""

import asyncio
from collections.abc import Callable, Sequence

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field

from memvr_integrations.grounding.asking_back import THING_PROMPT
from memvr_integrations.grounding.collections.relevance import named_things, relevance_of
from memvr_integrations.langchain.chat import ChatMemVR
from memvr_integrations.langchain.collections.pictures import source_of
from memvr_integrations.langchain.failures import langchain_errors
from memvr_integrations.wire.blocking import wait_for


class PictureRelevance(BaseDocumentCompressor):
    """Keeps the `top_n` pictures that show most of what a question names, as the model sees it.

    For each of the `things(question)` the model is asked `prompt`; `metadata["relevance"]` becomes
    the geometric mean of P(yes), from the logits. All of it runs in shared batches. A question that
    names nothing leaves the order as it is. For a `ContextualCompressionRetriever`, or alone.
    Documents need a `source` in their metadata, as `ImageLoader` writes it; those without one come
    after those with one.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: ChatMemVR
    top_n: int = Field(default=4, ge=1)
    prompt: str = THING_PROMPT
    things: Callable[[str], Sequence[str]] = named_things

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The pictures that show most of what `query` names, best first.

        Raises:
            ImageError: A picture can't be used.
            MemVRError: As the model does.
        """
        return wait_for(self.acompress_documents(documents, query, callbacks))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """`compress_documents` for asyncio."""
        things = list(self.things(query))
        pictures = [document for document in documents if document.metadata.get("source")]
        others = [document for document in documents if not document.metadata.get("source")]
        if things:
            with langchain_errors():
                shares = await asyncio.gather(*(self._share(one, things) for one in pictures))
            scored = sorted(zip(shares, pictures, strict=True), key=lambda pair: -pair[0])
            pictures = [_scored(document, share) for share, document in scored]
        return [*pictures, *others][: self.top_n]

    async def _share(self, document: Document, things: Sequence[str]) -> float:
        return await relevance_of(self.model, source_of(document), things, prompt=self.prompt)


def _scored(document: Document, share: float) -> Document:
    metadata = document.metadata | {"relevance": share}
    return document.model_copy(update={"metadata": metadata})
