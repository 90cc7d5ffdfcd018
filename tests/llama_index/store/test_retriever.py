"""What is found in a collection whose files, options or stores are not as they were."""

import pytest
from fields import SeeingEngine, collection, paint
from llama_index.core.schema import QueryBundle
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import AsyncQdrantClient, QdrantClient

from memvr_integrations.errors import ConfigError, ImageError, MemVRWarning, RequestError
from memvr_integrations.llama_index import ImageCollectionIndex, MemVRMultiModalLLM


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "fields"


@pytest.fixture
def index(folder):
    return collection(folder, SeeingEngine())


@pytest.fixture
def options():
    llm = MemVRMultiModalLLM(model="scripted", engine=SeeingEngine())
    return {"llm": llm, "show_progress": False}


def lose(path, how):
    if how == "gone":
        path.unlink()
    elif how == "broken":
        path.write_bytes(b"garbage")
    else:
        path.chmod(0o000)


def texts(found):
    return [one.node.text for one in found]


@pytest.mark.parametrize("how", ["gone", "broken"])
async def test_the_next_best_takes_the_place_of_what_cannot_be_shown(index, folder, how):
    retriever = index.as_retriever(similarity_top_k=1)
    best, second = texts(index.as_retriever(similarity_top_k=2).retrieve("A green field?"))
    assert best == "A field that is green."
    lose(folder / "green.png", how)
    with pytest.warns(MemVRWarning, match=r"1 of the images .*green\.png.* Others take") as warned:
        assert texts(retriever.retrieve("A green field?")) == [second]
    assert [one.filename for one in warned] == [__file__]
    with pytest.warns(MemVRWarning, match="no longer there"):
        assert texts(await retriever.aretrieve("A green field?")) == [second]
    for rerank in (None, 1):
        asking = index.as_query_engine(similarity_top_k=1, rerank_top_n=rerank)
        with pytest.warns(MemVRWarning, match="no longer there"):
            assert asking.query("A green field?").source_nodes


def test_where_none_can_be_shown_none_is_found(index, folder):
    for name in ("red", "green", "blue"):
        lose(folder / f"{name}.png", "gone")
    with pytest.warns(MemVRWarning, match="3 of the images"):
        assert index.as_retriever(similarity_top_k=1).retrieve("red") == []


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")  # Qdrant's, of its local mode
async def test_a_store_may_hold_others_vectors(tmp_path, options):
    client = QdrantClient(":memory:")
    made = {}
    for name, colors in (("many", [f"red {n}" for n in range(9)]), ("one", ["blue"])):
        paint(tmp_path / name, colors)
        store = QdrantVectorStore("shared", client=client)
        made[name] = ImageCollectionIndex.from_folder(
            tmp_path / name, vector_store=store, **options
        )
    retriever = made["one"].as_retriever(similarity_top_k=1)
    assert texts(retriever.retrieve("A red field?")) == ["A field that is blue."]
    assert texts(await retriever.aretrieve("A red field?")) == ["A field that is blue."]
    assert len(made["many"].as_retriever(similarity_top_k=20).retrieve("red")) == 9


def test_a_client_for_asyncio_alone_is_refused(folder, options):
    store = QdrantVectorStore("fields", aclient=AsyncQdrantClient(":memory:"))
    with pytest.raises(ConfigError, match=r"client for asyncio alone.*client="):
        ImageCollectionIndex(vector_store=store, **options)


def test_a_question_may_be_a_url(index, folder):
    retriever = index.as_retriever(similarity_top_k=1)
    url = "https://example.org/x.png"
    with pytest.raises(ImageError, match=r"https://example\.org.*allow"):
        retriever.retrieve(QueryBundle("", image_path=url))
    index.llm.image_policy = {"image_dirs": [folder]}
    asked = QueryBundle("", image_path=(folder / "blue.png").as_uri())
    assert texts(retriever.retrieve(asked)) == ["A field that is blue."]


@pytest.mark.parametrize("wrong", [0, "3", None, 2.5, True])
def test_how_many_is_a_whole_number(index, wrong):
    for ask in (index.as_retriever, index.as_query_engine, index.as_chat_engine):
        with pytest.raises(
            ConfigError, match=f"similarity_top_k={wrong!r} must be an integer of at least 1"
        ):
            ask(similarity_top_k=wrong)


@pytest.mark.parametrize("wrong", [{}, [], 3, "x"])
def test_filters_are_cores(index, wrong):
    with pytest.raises(ConfigError, match=r"filters=.* give MetadataFilters"):
        index.as_retriever(filters=wrong)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"llm": "bundled"}, "llm='bundled' .*MemVRMultiModalLLM"),
        ({"embed_model": "local"}, "embed_model='local' .*WordEmbedding"),
        ({"vector_store": "x"}, "vector_store='x'"),
        ({"caption_prompt": ""}, "caption_prompt='' must be a text"),
        ({"caption_prompt": 5}, "caption_prompt=5 must be a text"),
        ({"persist_dir": 5}, "persist_dir=5"),
        ({"persist_dri": "x"}, "no option 'persist_dri'. Did you mean 'persist_dir'"),
        ({"recursve": True}, "no option 'recursve'. Did you mean 'recursive'"),
        ({"show_progess": True}, "no option 'show_progess'. Did you mean 'show_progress'"),
    ],
)
def test_wrong_options_are_refused(folder, wrong, hint):
    paint(folder, ["red"])
    with pytest.raises(ConfigError, match=hint):
        ImageCollectionIndex.from_folder(folder, **wrong)


def test_with_closes_a_collection(folder, options, tmp_path):
    with ImageCollectionIndex(tmp_path / "i", **options) as index:
        retriever = index.as_retriever()
    for use in (lambda: len(index), index.refresh, lambda: retriever.retrieve("red")):
        with pytest.raises(RequestError, match=r"was closed .*ImageCollectionIndex\.open"):
            use()


def test_what_is_no_collection_is_refused(folder, options, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "images.sqlite").write_bytes(b"no database" * 200)
    with pytest.raises(ConfigError, match=r"images\.sqlite can't be used: file is not a database"):
        ImageCollectionIndex.open(tmp_path / "broken", **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"persist_dir='.*file' can't be made"):
        ImageCollectionIndex(tmp_path / "file", **options)


@pytest.mark.parametrize("store", [SimpleVectorStore, None])
def test_what_another_process_changes_is_found(folder, options, tmp_path, store):
    paint(folder, ["red", "green"])
    more = {"vector_store": store()} if store else {}
    here = ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options, **more)
    there = ImageCollectionIndex.open(tmp_path / "i", **options)
    paint(folder, ["blue"])
    there.add(folder / "blue.png")
    there.remove(folder / "red.png")
    found = texts(here.as_retriever().retrieve("A blue field?"))
    assert found == ["A field that is blue.", "A field that is green."]
