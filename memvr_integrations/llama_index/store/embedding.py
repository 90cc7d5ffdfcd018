"""A text embedding that needs no network, as LlamaIndex has embeddings."""

from llama_index.core.base.embeddings.base import BaseEmbedding

from memvr_integrations.grounding.collections.word_vectors import WORD_VECTORS, word_vectors
from memvr_integrations.llama_index.llm.checks import CheckedComponent


class WordEmbedding(CheckedComponent, BaseEmbedding):
    """The mean of a text's word vectors, of length 1: 256 numbers.

    It knows words, not their order. Any other embedding of LlamaIndex can take its place.
    """

    model_name: str = WORD_VECTORS

    @classmethod
    def class_name(cls) -> str:
        """Its name in what is written to disk."""
        return "memvr_word_embedding"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return word_vectors(texts)

    def _get_text_embedding(self, text: str) -> list[float]:
        [vector] = word_vectors([text])
        return vector

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)
