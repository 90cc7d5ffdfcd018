"""Collections are searched by words too: of captions, other descriptions and facets."""

import sqlite3

import pytest
from fields import SeeingEngine, color_of, paint
from llama_index.core.llms import MockLLM
from llama_index.core.schema import QueryBundle
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters
from scripted_engine import text_of

from memvr_integrations.errors import ConfigError
from memvr_integrations.llama_index import ImageCollectionIndex, MemVRMultiModalLLM

PLACES = {"red": "a zeppelin hangar", "green": "a meadow", "blue": "an aquarium"}


def answer(request):
    """The caption leaves out what a sampled description names."""
    color = color_of(request.images[-1])
    if "Where" in text_of(request.messages[-1]):
        return PLACES[color]
    return f"Something {color}." if request.sampling.temperature else "A field."


@pytest.fixture
def folder(tmp_path):
    paint(tmp_path / "fields", PLACES)
    return tmp_path / "fields"


@pytest.fixture
def engine():
    return SeeingEngine(answer)


@pytest.fixture
def options(engine):
    return {"llm": MemVRMultiModalLLM(engine=engine), "show_progress": False}


def names(found):
    return [one.node.metadata["file_name"] for one in found]


async def test_what_a_caption_leaves_out_is_found_by_a_description(folder, options):
    index = ImageCollectionIndex.from_folder(folder, **options)
    assert [node.text for node in index] == ["A field."] * 3
    for color in PLACES:
        retriever = index.as_retriever(similarity_top_k=1)
        assert names(retriever.retrieve(f"What is {color}?")) == [f"{color}.png"]
        assert names(await retriever.aretrieve(f"What is {color}?")) == [f"{color}.png"]
    asked = QueryBundle("Anything?", custom_embedding_strs=["blue"])
    assert names(index.as_retriever(similarity_top_k=1).retrieve(asked)) == ["blue.png"]
    alike = index.as_retriever(similarity_top_k=3, word_weight=0).retrieve("blue")
    assert len({one.score for one in alike}) == 1  # captions are the same


def test_facets_are_metadata_and_words(folder, options, engine, tmp_path):
    asked = {"persist_dir": tmp_path / "i", "facets": {"place": "Where is it?"}, **options}
    with ImageCollectionIndex.from_folder(folder, **asked) as index:
        assert names(index.as_retriever(similarity_top_k=1).retrieve("zeppelins")) == ["red.png"]
        meadow = MetadataFilters(filters=[MetadataFilter(key="place", value="a meadow")])
        found = index.as_retriever(similarity_top_k=3, filters=meadow).retrieve("a zeppelin")
        assert names(found) == ["green.png"]
        index.add([(folder / "red.png", {"year": 2024})])
        said = index[folder / "red.png"].metadata
        assert (said["year"], said["place"]) == (2024, "a zeppelin hangar")
    count = len(engine.requests)
    with ImageCollectionIndex.from_folder(folder, **asked) as index:
        assert names(index.as_retriever(similarity_top_k=1).retrieve("zeppelins")) == ["red.png"]
    assert len(engine.requests) == count
    with pytest.raises(ConfigError, match=r"was made with facets='{\"place"):
        ImageCollectionIndex(**asked | {"facets": {}})


def test_words_follow_what_is_added_and_removed_here_and_elsewhere(folder, options, tmp_path):
    index = ImageCollectionIndex(tmp_path / "i", **options)
    index.add(folder / "red.png")
    retriever = index.as_retriever(similarity_top_k=1)
    assert names(retriever.retrieve("blue")) == ["red.png"]
    index.add(folder / "blue.png")
    assert names(retriever.retrieve("blue")) == ["blue.png"]
    other = ImageCollectionIndex(tmp_path / "i", **options)
    other.add(folder / "green.png")
    assert names(retriever.retrieve("green")) == ["green.png"]
    other.remove(folder / "green.png")
    assert names(retriever.retrieve("green")) != ["green.png"]


def test_a_collection_of_before_is_opened_and_searched_by_its_captions(folder, options, tmp_path):
    ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options).close()
    with sqlite3.connect(tmp_path / "i" / "images.sqlite") as file:
        file.execute("DROP TABLE words")
        file.execute("DELETE FROM facts WHERE name = 'facets'")
        file.execute("UPDATE images SET caption = 'A sombrero.' WHERE source LIKE '%green%'")
    file.close()
    index = ImageCollectionIndex.open(tmp_path / "i", **options)
    assert names(index.as_retriever(similarity_top_k=1).retrieve("sombreros")) == ["green.png"]
    index.close()
    with pytest.raises(ConfigError, match="was made with facets="):
        ImageCollectionIndex.open(tmp_path / "i", facets={"place": "Where?"}, **options)


def test_other_llms_write_captions_alone(folder):
    assert len(ImageCollectionIndex(llm=MockLLM(), show_progress=False)) == 0
    for wrong in ({"descriptions": 2}, {"facets": {"place": "Where?"}}):
        with pytest.raises(ConfigError, match="A MockLLM writes captions alone"):
            ImageCollectionIndex(llm=MockLLM(), **wrong)


@pytest.mark.parametrize("name", ["word_weight", "vector_weight"])
def test_weights_are_numbers(folder, options, name):
    index = ImageCollectionIndex(**options)
    with pytest.raises(ConfigError, match=f"{name}=-1 must be a finite number of 0 or more"):
        index.as_retriever(**{name: -1})
