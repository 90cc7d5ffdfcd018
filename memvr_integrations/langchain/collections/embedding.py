"""A text embedding that needs no network, as LangChain has embeddings."""

from langchain_core.embeddings import Embeddings

from memvr_integrations.grounding.collections.word_vectors import word_vectors


class WordEmbeddings(Embeddings):
    """The mean of a text's word vectors, of length 1: 256 numbers.

    It knows words, not their order. Any other embedding of LangChain can take its place.
    """

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of some texts."""
        return word_vectors(texts)

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        [vector] = word_vectors([text])
        return vector
