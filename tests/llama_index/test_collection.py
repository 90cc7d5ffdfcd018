"""Collections on a scripted engine: what is described is a picture's mean colour."""

import gc
import os
import shutil
import signal
import warnings
from pathlib import Path

import pandas as pd
import PIL.Image
import pytest
from fields import COLORS, color_of
from forked import forked
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import ImageNode, QueryBundle
from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters, SimpleVectorStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient
from scripted_engine import ScriptedEngine

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import ConfigError, MemVRWarning, RequestError
from memvr_integrations.llama_index import (
    CaptionImages,
    ImageCollectionIndex,
    MemVRMultiModalLLM,
    WordEmbedding,
)
from memvr_integrations.types import Image


def script(request):
    [image] = request.images
    return f"A field that is {color_of(image)}."


@pytest.fixture
def engine():
    return ScriptedEngine(script)


@pytest.fixture
def options(engine):
    llm = MemVRMultiModalLLM(model="scripted", engine=engine)
    return {"llm": llm, "descriptions": 0, "show_progress": False}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "photos"
    (made / "deep").mkdir(parents=True)
    for name in ("red", "green", "deep/blue"):
        PIL.Image.new("RGB", (9, 7), COLORS[Path(name).name]).save(made / f"{name}.png")
    (made / "notes.txt").write_text("no image")
    return made


def captions(index):
    return {Path(node.image_path).stem: node.text for node in index}


ALL = {name: f"A field that is {name}." for name in ("red", "green", "blue")}


def test_a_folder_becomes_a_collection(folder, options, tmp_path):
    index = ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)
    assert captions(index) == ALL
    [found] = index.as_retriever(similarity_top_k=1).retrieve("Where is something green?")
    assert found.node.text == ALL["green"]
    assert 0 < found.score <= 1
    flat = ImageCollectionIndex.from_folder(folder, recursive=False, **options)
    assert len(flat) == 2


def test_a_second_time_costs_nothing(folder, options, engine, tmp_path):
    first = ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)
    first.close()
    asked = len(engine.requests)
    again = ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)
    opened = ImageCollectionIndex.open(tmp_path / "i", **options)
    assert captions(again) == captions(opened) == ALL
    assert [node.node_id for node in opened] == [node.node_id for node in again]
    assert len(engine.requests) == asked == 3


def test_changes_are_noticed(folder, options, engine, tmp_path):
    index = ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)
    PIL.Image.new("RGB", (9, 7), COLORS["white"]).save(folder / "red.png")
    os.utime(folder / "red.png", ns=(1, 1))
    (folder / "green.png").unlink()
    shutil.copy(folder / "deep/blue.png", folder / "again.png")
    index.refresh()
    assert captions(index) == {"red": "A field that is white.", "blue": ALL["blue"]}
    index.close()
    index = ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)
    assert captions(index).keys() == {"red", "blue", "again"}
    assert len(engine.requests) == 4  # the same pixels are described once
    [found] = index.as_retriever(similarity_top_k=1).retrieve("white")
    assert Path(found.node.image_path).stem == "red"
    index.remove([folder / "red.png"])
    assert captions(index).keys() == {"blue", "again"}
    assert all(n.node.text != "A field that is white." for n in index.as_retriever().retrieve("x"))


def test_images_of_any_kind(folder, options, tmp_path):
    image = PIL.Image.new("RGB", (5, 5), COLORS["white"])
    images = [folder / "red.png", str(folder / "green.png"), (image, {"kind": "made"})]
    index = ImageCollectionIndex.from_images(images, persist_dir=tmp_path / "i", **options)
    assert sorted(node.text for node in index) == [
        ALL["green"],
        ALL["red"],
        "A field that is white.",
    ]
    [made] = [node for node in index if node.metadata.get("kind") == "made"]
    assert load_image(Path(made.image_path)).size == (5, 5)
    [again] = index.add([image])
    assert again == made.node_id
    assert len(index) == 3


def test_a_table_and_its_filters(folder, options):
    table = pd.DataFrame(
        {
            "image": sorted(folder.rglob("*.png")),
            "year": [2024, 2025, 2025],
            "note": ["a", None, "b"],
        }
    )
    index = ImageCollectionIndex.from_dataframe(table, **options)
    only = MetadataFilters(filters=[ExactMatchFilter(key="year", value=2025)])
    found = index.as_retriever(filters=only).retrieve("blue")
    assert {node.node.text for node in found} == {ALL["green"], ALL["red"]}
    with pytest.raises(ConfigError, match="no column 'picture' but image, year, note"):
        ImageCollectionIndex.from_dataframe(table, image_column="picture", **options)


async def test_an_image_is_a_question_too(folder, options, tmp_path):
    index = ImageCollectionIndex.from_folder(folder, **options)
    PIL.Image.new("RGB", (30, 30), COLORS["blue"]).save(tmp_path / "asked.png")
    asked = QueryBundle("", image_path=str(tmp_path / "asked.png"))
    retriever = index.as_retriever(similarity_top_k=1)
    for found in (retriever.retrieve(asked), await retriever.aretrieve(asked)):
        assert found[0].node.text == ALL["blue"]


def test_what_cannot_be_read_is_left_out_with_a_warning(folder, options):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.warns(MemVRWarning, match=r"1 of 4 images could not be read.*broken"):
        index = ImageCollectionIndex.from_folder(folder, **options)
    assert captions(index) == ALL
    [(source, reason)] = index.failures.items()
    assert source.endswith("broken.png")
    assert "damaged" in reason


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")  # Qdrant's, of its local mode
@pytest.mark.parametrize("where", ["memory", "disk"])
async def test_qdrant_holds_the_vectors(folder, options, tmp_path, where):
    def store():
        client = (
            QdrantClient(":memory:") if where == "memory" else QdrantClient(path=tmp_path / "q")
        )
        return client, QdrantVectorStore(collection_name="photos", client=client)

    client, vectors = store()
    index = ImageCollectionIndex.from_folder(
        folder, persist_dir=tmp_path / "i", vector_store=vectors, **options
    )
    index.remove([folder / "red.png"])
    PIL.Image.new("RGB", (9, 7), COLORS["white"]).save(folder / "green.png")
    index.refresh()
    if where == "disk":
        index.close()
        client.close()
        client, vectors = store()
        index = ImageCollectionIndex.open(tmp_path / "i", vector_store=vectors, **options)
    retriever = index.as_retriever()
    for found in (retriever.retrieve("white"), await retriever.aretrieve("white")):
        assert [node.node.text for node in found] == ["A field that is white.", ALL["blue"]]
    assert client.count("photos").count == 2
    client.close()


class Seeing(MultiModalEmbedding):
    """Embeds an image as the word vector of its colour."""

    def _get_image_embedding(self, img_file_path):
        return WordEmbedding().get_text_embedding(color_of(Image(Path(img_file_path))))

    async def _aget_image_embedding(self, img_file_path):
        return self._get_image_embedding(img_file_path)

    def _get_text_embedding(self, text):
        return WordEmbedding().get_text_embedding(text)

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


def test_pictures_can_be_embedded_themselves(folder, options):
    options["llm"] = MemVRMultiModalLLM(
        model="s", engine=ScriptedEngine(lambda request: "Something.")
    )
    index = ImageCollectionIndex.from_folder(folder, embed_model=Seeing(), **options)
    [found] = index.as_retriever(similarity_top_k=1).retrieve("green")
    assert Path(found.node.image_path).stem == "green"


def test_what_does_not_fit_together_is_refused(folder, options, tmp_path):
    ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)
    with pytest.raises(ConfigError, match="made with embed_model='wordllama"):
        ImageCollectionIndex.open(tmp_path / "i", embed_model=Seeing(model_name="x"), **options)
    with pytest.raises(ConfigError, match="made with caption_prompt="):
        ImageCollectionIndex.open(tmp_path / "i", caption_prompt="Say it.", **options)
    with pytest.raises(ConfigError, match="holds no collection"):
        ImageCollectionIndex.open(tmp_path / "none", **options)
    with pytest.raises(ConfigError, match="is no folder"):
        ImageCollectionIndex.from_folder(tmp_path / "none", **options)
    with pytest.raises(ConfigError, match="holds no image"):
        ImageCollectionIndex.from_folder(tmp_path / "i", **options)
    with pytest.raises(ConfigError, match="'x' is not in this collection"):
        ImageCollectionIndex.open(tmp_path / "i", **options).remove(["x"])
    with pytest.raises(ConfigError, match="similarity_top_k=0"):
        ImageCollectionIndex.open(tmp_path / "i", **options).as_retriever(similarity_top_k=0)


def test_killed_in_the_middle_nothing_is_lost_or_twice(options, engine, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for at in range(8):
        PIL.Image.new("RGB", (9, 7 + at), (20 * at, 0, 0)).save(folder / f"{at}.png")

    def die_in_the_middle():
        ask = engine.agenerate

        def then_die(request):
            if len(engine.requests) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return ask(request)

        engine.agenerate = then_die
        ImageCollectionIndex.from_folder(
            folder, persist_dir=tmp_path / "i", batch_size=2, **options
        )

    assert os.waitpid(forked(die_in_the_middle), 0)[1] == signal.SIGKILL
    with ImageCollectionIndexOpened(tmp_path / "i", options) as index:
        assert len(index) == 4
    index = ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)
    assert len(index) == 8
    assert len({node.image_path for node in index}) == 8
    assert len(engine.requests) == 4  # the others were on disk already


class ImageCollectionIndexOpened:
    def __init__(self, place, options):
        self.index = ImageCollectionIndex.open(place, **options)

    def __enter__(self):
        return self.index

    def __exit__(self, *_):
        self.index.close()


def test_captions_in_a_pipeline_do_not_take_each_others_place(folder, options, engine, tmp_path):
    """Core's own cache knows a node by its text alone, and these have none."""
    caption = CaptionImages(llm=options["llm"], cache=tmp_path / "captions.sqlite")
    pipeline = IngestionPipeline(transformations=[caption], disable_cache=True)

    def nodes():
        return [ImageNode(image_path=str(folder / f"{name}.png")) for name in ("red", "green")]

    for _ in range(2):
        texts = [pipeline.run(nodes=[node])[0].text for node in nodes()]
        assert texts == [ALL["red"], ALL["green"]]
    assert len(engine.requests) == 2
    other = CaptionImages(llm=options["llm"], cache=tmp_path / "captions.sqlite", prompt="Else?")
    other(nodes())
    assert len(engine.requests) == 4  # another prompt is another caption
    kept = ImageNode(text="mine", image_path=str(folder / "red.png"))
    assert caption([kept])[0].text == "mine"


def test_an_empty_caption_is_an_error(folder):
    silent = MemVRMultiModalLLM(model="s", engine=ScriptedEngine(lambda request: " "))
    with pytest.raises(ConfigError, match="gave an empty caption"):
        CaptionImages(llm=silent)([ImageNode(image_path=str(folder / "red.png"))])


def test_nothing_warns_when_all_is_well(folder, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageCollectionIndex.from_folder(folder, **options).close()


def test_urls_are_the_llms_to_allow(folder, engine):
    url = (folder / "red.png").as_uri()
    closed = MemVRMultiModalLLM(model="scripted", engine=engine)
    with pytest.warns(MemVRWarning, match="1 of 1 images could not be read"):
        assert ImageCollectionIndex.from_images([url], llm=closed, show_progress=False).failures
    llm = MemVRMultiModalLLM(model="scripted", engine=engine, image_policy={"image_dirs": [folder]})
    index = ImageCollectionIndex.from_images([url], llm=llm, show_progress=False)
    assert [node.text for node in index] == [ALL["red"]]


def test_what_asks_a_collection_keeps_it_open(folder, options):
    retriever = ImageCollectionIndex.from_folder(folder, **options).as_retriever(similarity_top_k=1)
    gc.collect()
    [found] = retriever.retrieve("something green")
    assert found.node.text == ALL["green"]


async def test_a_closed_collection_keeps_nothing(folder, options):
    index = ImageCollectionIndex(**options)
    index.close()
    picture = PIL.Image.new("RGB", (9, 7))
    with pytest.raises(RequestError, match="was closed"):
        index.add(picture)
    with pytest.raises(RequestError, match="was closed"):
        await index.aadd(picture)
    assert not index.persist_dir.exists()


def test_an_image_is_got_by_id_or_path(folder, options):
    index = ImageCollectionIndex.from_folder(folder, **options)
    node = index[folder / "red.png"]
    assert node.text == ALL["red"]
    assert index[node.node_id] == node
    with pytest.raises(ConfigError, match="not in this collection"):
        index["red"]


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")  # said once a process
@pytest.mark.parametrize("store", ["memory", "qdrant"])
def test_a_store_that_lost_its_vectors_gets_them_anew(folder, options, tmp_path, store):
    def made():
        if store == "memory":
            return SimpleVectorStore()
        return QdrantVectorStore("fields", client=QdrantClient(":memory:"))

    ImageCollectionIndex.from_folder(
        folder, persist_dir=tmp_path / "i", vector_store=made(), **options
    ).close()
    for _ in range(2):
        index = ImageCollectionIndex.open(tmp_path / "i", vector_store=made(), **options)
        [found] = index.as_retriever(similarity_top_k=1).retrieve("something green")
        assert found.node.text == ALL["green"]
        index.close()
    shared = made()
    other = ImageCollectionIndex.from_images(folder / "red.png", vector_store=shared, **options)
    index = ImageCollectionIndex.open(tmp_path / "i", vector_store=shared, **options)
    assert len(index.as_retriever(similarity_top_k=3).retrieve("something green")) == len(index)
    assert len(other) == 1
