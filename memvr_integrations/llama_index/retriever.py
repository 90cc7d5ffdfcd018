"""Finds images by a question, or by another image."""

import warnings
from pathlib import Path

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from memvr_integrations.errors import ConfigError, MemVRWarning, RequestError
from memvr_integrations.llama_index.blocking import wait_for
from memvr_integrations.llama_index.captions import CaptionImages
from memvr_integrations.llama_index.nodes import CaptionedImage
from memvr_integrations.llama_index.records import Records


class ImageRetriever(BaseRetriever):
    """The images whose captions are nearest to a question.

    `QueryBundle(query_str=..., image_path=...)` asks with an image: it is described first, or
    embedded as it is by a `MultiModalEmbedding`. `custom_embedding_strs=[...]` searches by other
    words than the question's own.
    """

    def __init__(
        self,
        *,
        vector_store: BasePydanticVectorStore,
        embed_model: BaseEmbedding,
        records: Records,
        captions: CaptionImages,
        owner: object,
        similarity_top_k: int,
        filters: MetadataFilters | None,
    ) -> None:
        """`ImageCollectionIndex.as_retriever` makes one; `owner` closes the files when it goes.

        Raises:
            ConfigError: `similarity_top_k` is below 1.
        """
        if similarity_top_k < 1:
            raise ConfigError(f"similarity_top_k={similarity_top_k} must be at least 1.")
        self._store, self._embed_model, self._records = vector_store, embed_model, records
        self._captions, self._top_k, self._filters = captions, similarity_top_k, filters
        self._owner = owner
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._found(self._store.query(self._query(wait_for(self._vector(query_bundle)))))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        query = self._query(await self._vector(query_bundle))
        # Qdrant has a client of its own for asyncio, which it may not have been given.
        if getattr(self._store, "_aclient", self) is None:
            return self._found(self._store.query(query))
        return self._found(await self._store.aquery(query))

    def _query(self, vector: list[float]) -> VectorStoreQuery:
        return VectorStoreQuery(
            query_embedding=vector, similarity_top_k=self._top_k, filters=self._filters
        )

    async def _vector(self, asked: QueryBundle) -> list[float]:
        if asked.embedding is not None:
            return asked.embedding
        texts = [text for text in asked.embedding_strs if text.strip()]
        if asked.image_path:
            if isinstance(self._embed_model, MultiModalEmbedding):
                return await self._embed_model.aget_image_embedding(asked.image_path)
            texts.append(await self._captions.caption(Path(asked.image_path)))
        if not texts:
            raise RequestError(
                "There is nothing to look for: the question is empty. Give a question, or an image "
                "(QueryBundle(query_str='', image_path=...))."
            )
        return await self._embed_model.aget_agg_embedding_from_queries(texts)

    def _found(self, result: VectorStoreQueryResult) -> list[NodeWithScore]:
        ids = result.ids or [node.node_id for node in result.nodes or ()]
        scores = dict(zip(ids, result.similarities or [], strict=False))
        records = self._records.get(ids)
        gone = [record.source for record in records if record.is_gone]
        if gone:
            warnings.warn(
                f"{len(gone)} of the images that were found are no longer there, the first: "
                f"{gone[0]}. They are left out; refresh() forgets them.",
                MemVRWarning,
                stacklevel=2,
            )
        return [
            NodeWithScore(
                node=CaptionedImage.of(record.node, self._captions.llm), score=scores.get(record.id)
            )
            for record in records
            if record.source not in gone
        ]
