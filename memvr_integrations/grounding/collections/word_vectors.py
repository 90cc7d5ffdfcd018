"""Vectors of texts without network: the word vectors that wordllama brings along."""

import functools
import math
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

WORD_VECTORS = "wordllama-l2-supercat-256"
"""What the vectors are called."""

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


def word_vectors(texts: Sequence[str]) -> list[list[float]]:
    """The mean of each text's word vectors, of length 1: 256 numbers, 0 where there is no word."""
    if not texts:
        return []
    rows: list[list[float]] = _words().embed(list(texts)).tolist()
    return [[x / max(math.hypot(*row), 1e-9) for x in row] for row in rows]
