"""Finds images by a question, or by another image."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from memvr_integrations.checks import check_integer, check_kind, check_number
from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.collections.sources import is_file
from memvr_integrations.llama_index.store.hits import DEEP, Hits
from memvr_integrations.llama_index.store.nodes import CaptionedImage
from memvr_integrations.llama_index.store.shelf import Shelf
from memvr_integrations.wire.blocking import wait_for
from memvr_integrations.wire.warning import warn


class ImageRetriever(BaseRetriever):
    """The images that fit a question best, by words and by vectors together.

    Words are searched by BM25 in all that is said of an image, captions' vectors in the store; both
    rankings are fused. A node's score is the similarity of its vector, by which it need not be
    sorted. `QueryBundle(query_str=..., image_path=...)` asks with an image: it is described first,
    or embedded as it is by a `MultiModalEmbedding`. `custom_embedding_strs=[...]` searches by other
    words than the question's own.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        similarity_top_k: int,
        filters: MetadataFilters | None,
        word_weight: float,
        vector_weight: float,
    ) -> None:
        """`ImageCollectionIndex.as_retriever` makes one."""
        check_integer("similarity_top_k", similarity_top_k, least=1)
        check_kind("filters", filters, MetadataFilters | None, "MetadataFilters(filters=[...])")
        check_number("word_weight", word_weight, most=math.inf)
        check_number("vector_weight", vector_weight, most=math.inf)
        self._shelf, self._top_k, self._filters = shelf, similarity_top_k, filters
        self._weights = word_weight, vector_weight
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self._shelf.vectors.catch_up()
        vector, texts = wait_for(self._asked(query_bundle))
        hits = self._hits(vector, texts)
        while not hits.complete:
            hits.take(self._shelf.vectors.store.query(self._query(vector, hits.wanted)))
        return self._nodes(hits)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self._shelf.vectors.catch_up()
        store = self._shelf.vectors.store
        vector, texts = await self._asked(query_bundle)
        hits = await asyncio.to_thread(self._hits, vector, texts)  # it may index words anew
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

    def _hits(self, vector: list[float], texts: Sequence[str]) -> "Hits":
        records, by_words = self._shelf.records, list[str]()
        if self._weights[0]:
            # Filtered afterwards, so all of them: there may be few that pass.
            count = len(records) if self._filters else self._top_k * DEEP
            by_words = self._passing(self._shelf.words.best(" ".join(texts), count))
        return Hits(records, self._top_k, by_words, self._weights, vector)

    def _passing(self, ids: list[str]) -> list[str]:
        """Those that the filters let through, which the store applies to its own hits."""
        if self._filters is None:
            return ids
        metadata = {record.id: record.node.metadata for record in self._shelf.records.get(ids)}
        passes = build_metadata_filter_fn(lambda one: metadata[one], self._filters)
        return [one for one in ids if one in metadata and passes(one)]

    async def _asked(self, asked: QueryBundle) -> tuple[list[float], list[str]]:
        """The vector and the words to look for."""
        model = self._shelf.embed_model
        texts = [text for text in asked.embedding_strs if text.strip()]
        if asked.embedding is not None:
            return asked.embedding, texts
        if asked.image_path:
            if isinstance(model, MultiModalEmbedding):
                return await self._shelf.embed_picture(model, asked.image_path), texts
            picture = asked.image_path
            is_path = is_file(picture) and not picture.startswith("data:")
            texts.append(await self._shelf.captions.caption(Path(picture) if is_path else picture))
        if not texts:
            raise RequestError(
                "There is nothing to look for: the question is empty. Give a question, or an image "
                "(QueryBundle(query_str='', image_path=...))."
            )
        return await model.aget_agg_embedding_from_queries(texts), texts

    def _nodes(self, hits: "Hits") -> list[NodeWithScore]:
        if hits.lost:
            warn(
                f"{len(hits.lost)} of the images that were found are no longer there, or can't be "
                f"read, the first: {hits.lost[0]}. Others take their place; refresh() forgets them."
            )
        return [
            NodeWithScore(node=CaptionedImage.of(record.node, self._shelf.llm), score=score)
            for record, score in hits.found
        ]
