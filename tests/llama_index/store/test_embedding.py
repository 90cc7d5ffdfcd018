import numpy as np
import pytest
from pydantic import ValidationError

from memvr_integrations.llama_index import WordEmbedding


async def test_words_of_one_kind_are_near():
    embedding = WordEmbedding()
    cow, horse, plate = embedding.get_text_embedding_batch(["a cow", "a horse", "a plate"])
    assert len(cow) == 256
    assert np.dot(cow, horse) > np.dot(cow, plate)
    assert np.isclose(np.linalg.norm(cow), 1)
    assert np.allclose(await embedding.aget_query_embedding("a cow"), cow)


def test_no_words_are_no_nan():
    assert np.isfinite(WordEmbedding().get_text_embedding("")).all()


def test_it_can_be_written_and_read():
    assert WordEmbedding.from_dict(WordEmbedding().to_dict()).model_name.startswith("wordllama")


def test_a_typo_is_refused():
    with pytest.raises(ValidationError, match=r"no option 'modelname'\. Did you mean 'model_name'"):
        WordEmbedding(modelname="x")
