"""A text embedding that needs no network: the word vectors that wordllama brings along."""

import functools
import math
from importlib.resources import files
from typing import TYPE_CHECKING

from llama_index.core.base.embeddings.base import BaseEmbedding

from memvr_integrations.llama_index.llm.checks import CheckedComponent

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

_WEIGHTS, _TOKENIZER = "l2_supercat_256.safetensors", "l2_supercat_tokenizer_config.json"


@functools.cache
def _words() -> "WordLlamaInference":
    # A second of imports, for those only who embed by words.
    from safetensors.numpy import load_file
    from wordllama.inference import WordLlamaInference
    from wordllama.tokenizers import tokenizer_from_file

    # Its own loader looks for the tokenizer in the wrong folder, and then downloads it.
    weights = load_file(str(files("wordllama") / "weights" / _WEIGHTS))
    return WordLlamaInference(weights["embedding.weight"], tokenizer_from_file(_TOKENIZER))


class WordEmbedding(CheckedComponent, BaseEmbedding):
    """The mean of a text's word vectors, of length 1: 256 numbers.

    It knows words, not their order. Any other embedding of LlamaIndex can take its place.
    """

    model_name: str = "wordllama-l2-supercat-256"

    @classmethod
    def class_name(cls) -> str:
        """Its name in what is written to disk."""
        return "memvr_word_embedding"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = _words().embed(texts).tolist()
        return [[x / max(math.hypot(*row), 1e-9) for x in row] for row in rows]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)
