"""Finds images by a question, or by another image."""

import asyncio
from pathlib import Path

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from memvr_integrations.checks import check_integer, check_kind
from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.collections.sources import is_file
from memvr_integrations.llama_index.store.nodes import CaptionedImage
from memvr_integrations.llama_index.store.records import Record, Records
from memvr_integrations.llama_index.store.shelf import Shelf
from memvr_integrations.llama_index.store.vectors import ids_of
from memvr_integrations.wire.blocking import wait_for
from memvr_integrations.wire.warning import warn


class ImageRetriever(BaseRetriever):
    """The images whose captions are nearest to a question.

    `QueryBundle(query_str=..., image_path=...)` asks with an image: it is described first, or
    embedded as it is by a `MultiModalEmbedding`. `custom_embedding_strs=[...]` searches by other
    words than the question's own.
    """

    def __init__(
        self, shelf: Shelf, *, similarity_top_k: int, filters: MetadataFilters | None
    ) -> None:
        """`ImageCollectionIndex.as_retriever` makes one."""
        check_integer("similarity_top_k", similarity_top_k, least=1)
        check_kind("filters", filters, MetadataFilters | None, "MetadataFilters(filters=[...])")
        self._shelf, self._top_k, self._filters = shelf, similarity_top_k, filters
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self._shelf.vectors.catch_up()
        hits = _Hits(self._shelf.records, self._top_k)
        vector = wait_for(self._vector(query_bundle))
        while not hits.complete:
            hits.take(self._shelf.vectors.store.query(self._query(vector, hits.wanted)))
        return self._nodes(hits)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self._shelf.vectors.catch_up()
        hits = _Hits(self._shelf.records, self._top_k)
        vector, store = await self._vector(query_bundle), self._shelf.vectors.store
        while not hits.complete:
            query = self._query(vector, hits.wanted)
            # Qdrant has a client of its own for asyncio, which it may not have been given.
            if getattr(store, "_aclient", self) is None:
                result = store.query(query)
            else:
                result = await store.aquery(query)
            await asyncio.to_thread(hits.take, result)  # it reads files that were changed
        return self._nodes(hits)

    def _query(self, vector: list[float], count: int) -> VectorStoreQuery:
        return VectorStoreQuery(
            query_embedding=vector, similarity_top_k=count, filters=self._filters
        )

    async def _vector(self, asked: QueryBundle) -> list[float]:
        if asked.embedding is not None:
            return asked.embedding
        model = self._shelf.embed_model
        texts = [text for text in asked.embedding_strs if text.strip()]
        if asked.image_path:
            if isinstance(model, MultiModalEmbedding):
                return await self._shelf.embed_picture(model, asked.image_path)
            picture = asked.image_path
            is_path = is_file(picture) and not picture.startswith("data:")
            texts.append(await self._shelf.captions.caption(Path(picture) if is_path else picture))
        if not texts:
            raise RequestError(
                "There is nothing to look for: the question is empty. Give a question, or an image "
                "(QueryBundle(query_str='', image_path=...))."
            )
        return await model.aget_agg_embedding_from_queries(texts)

    def _nodes(self, hits: "_Hits") -> list[NodeWithScore]:
        if hits.lost:
            warn(
                f"{len(hits.lost)} of the images that were found are no longer there, or can't be "
                f"read, the first: {hits.lost[0]}. Others take their place; refresh() forgets them."
            )
        return [
            NodeWithScore(node=CaptionedImage.of(record.node, self._shelf.llm), score=score)
            for record, score in hits.found
        ]


class _Hits:
    """The best images that can be shown; where some can't, the store is asked for more."""

    def __init__(self, records: Records, top_k: int) -> None:
        self._records, self._top_k = records, top_k
        self.wanted, self.complete = top_k, False
        self.found: list[tuple[Record, float | None]] = []
        self.lost: list[str] = []

    def take(self, result: VectorStoreQueryResult) -> None:
        """Take the `wanted` best hits; others' vectors in the same store are passed over."""
        ids = ids_of(result)
        scores = dict(zip(ids, result.similarities or [], strict=False))
        self.found, self.lost = [], []
        for record in self._records.get(ids):
            if len(self.found) == self._top_k:
                break
            if record.is_readable:
                self.found.append((record, scores.get(record.id)))
            else:
                self.lost.append(record.source)
        self.complete = len(self.found) == self._top_k or len(ids) < self.wanted
        self.wanted *= 2
