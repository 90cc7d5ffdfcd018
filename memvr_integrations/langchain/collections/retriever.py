"""Finds pictures by words and by vectors at once, in any of LangChain's vector stores."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, Field, model_validator

from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.collections.fusion import VECTORS, WORDS, fused
from memvr_integrations.grounding.collections.keywords import KeywordIndex
from memvr_integrations.langchain.collections.pictures import words_of

_DEEP = 8  # times as many hits of each search go into the fusion


class PictureRetriever(BaseRetriever):
    """The pictures that fit a question best, by their words and their vectors together.

    `documents` are those of `ImageLoader`, and `vectorstore` holds the same. Words are searched by
    BM25 over everything that was said of a picture, vectors by the store; both rankings are fused,
    weighted `word_weight` and `vector_weight`. `keep` leaves out what it says False to; what the
    store itself shall filter by goes into `search_kwargs`, beside a `keep` that says the same.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    vectorstore: VectorStore
    documents: Sequence[Document]
    k: int = Field(default=4, ge=1)
    word_weight: float = Field(default=WORDS, ge=0)
    vector_weight: float = Field(default=VECTORS, ge=0)
    keep: Callable[[Document], bool] | None = None
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def from_documents(
        cls, documents: Sequence[Document], vectorstore: VectorStore, **options: Any
    ) -> Self:
        """A retriever over documents that are put into a store first."""
        documents = list(documents)
        if documents:
            vectorstore.add_documents(documents, ids=[_id(one) for one in documents])
        return cls(vectorstore=vectorstore, documents=documents, **options)

    @model_validator(mode="after")
    def _same_filter(self) -> Self:
        if "filter" in self.search_kwargs and self.keep is None:
            raise ConfigError(
                "search_kwargs has a filter, which the search by words can't read; give "
                "keep=lambda document: ..., which says the same."
            )
        return self

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        deep = self.k * _DEEP
        near = self.vectorstore.similarity_search(query, deep, **self.search_kwargs)
        return self._fused(query, near)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        deep = self.k * _DEEP
        near = await self.vectorstore.asimilarity_search(query, deep, **self.search_kwargs)
        return self._fused(query, near)

    def _fused(self, query: str, near: Sequence[Document]) -> list[Document]:
        found = {_place(document): document for document in near} | self._known
        words = self._words.best(query, self.k * _DEEP)
        rankings = ((self.word_weight, words), (self.vector_weight, list(map(_place, near))))
        best = (found[place] for place in fused(rankings))
        kept = [one for one in best if self.keep is None or self.keep(one)]
        return kept[: self.k]

    @functools.cached_property
    def _known(self) -> dict[str, Document]:
        return {_place(document): document for document in self.documents}

    @functools.cached_property
    def _words(self) -> KeywordIndex:
        return KeywordIndex({place: words_of(one) for place, one in self._known.items()})


def _place(document: Document) -> str:
    # Some stores give documents without their ids.
    return str(document.metadata.get("source") or document.id or document.page_content)


def _id(document: Document) -> str:
    return document.id or _place(document)
