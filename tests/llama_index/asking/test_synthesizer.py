"""Query engines over a collection, on an engine that sees colours."""

import re

import pytest
from fields import SeeingEngine, collection
from llama_index.core import PromptTemplate
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.schema import (
    ImageDocument,
    MediaResource,
    Node,
    NodeWithScore,
    QueryBundle,
)
from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters
from pydantic import BaseModel
from scripted_engine import text_of

from memvr_integrations.errors import ConfigError, MemVRWarning, RequestError
from memvr_integrations.llama_index import (
    ImageSynthesizer,
    VisualRerank,
    citations,
)
from memvr_integrations.llama_index.asking.synthesizer import NOTHING_FOUND

THREE = ["red", "green", "blue"]


class Shade(BaseModel):
    dark: bool


@pytest.fixture
def engine():
    return SeeingEngine()


@pytest.fixture
def index(tmp_path, engine):
    return collection(tmp_path / "fields", engine)


def cited(response):
    return [(one.n, re.sub(r".*/|\.png", "", one.source)) for one in citations(response)]


def shown(request):
    return text_of(request.messages[-1])


def test_the_right_image_is_found_asked_and_cited(index, engine):
    response = index.as_query_engine().query("Where is the green field?")
    assert str(response) == "I see green. [1]"
    assert cited(response) == [(1, "green")]
    [one] = citations(response)
    assert one.node_id == response.source_nodes[0].node.node_id
    assert one.caption == "A field that is green."
    assert response.metadata["answers"] == ["I see green."]
    assert response.metadata["memvr"][0]["unsureness"] > 0
    assert response.metadata["left_out"] == []
    asked = engine.requests[-1]
    assert "A field that is green." in shown(asked)  # the caption reaches the model too
    assert shown(asked).endswith("Where is the green field?")


def test_each_image_is_asked_about_alone(index, engine):
    response = index.as_query_engine(rerank_top_n=None).query("What is it?")
    colors = [re.sub(r".*/|\.png", "", f.node.image_path) for f in response.source_nodes]
    assert sorted(colors) == sorted(THREE)
    assert str(response).splitlines() == [f"I see {c}. [{n}]" for n, c in enumerate(colors, 1)]
    assert [len(request.images) for request in engine.requests] == [1, 1, 1]
    assert cited(response) == list(enumerate(colors, 1))


def test_all_images_at_once(index, engine):
    engine._script = lambda request: "Grass [2] and rock [7], and more [1]."
    options = {"rerank_top_n": None, "similarity_top_k": 2, "mode": "together"}
    response = index.as_query_engine(**options).query("What is it?")
    [asked] = engine.requests
    assert len(asked.images) == 2
    assert re.match(r"\[1\] A field .* \[2\] A field .* What is it\?", shown(asked), re.DOTALL)
    assert str(response) == "Grass [2] and rock, and more [1]."  # there is no seventh
    assert [n for n, _ in cited(response)] == [1, 2]
    engine._script = lambda request: "No idea."
    response = index.as_query_engine(**options).query("What is it?")
    assert str(response) == "No idea. [1][2]"  # it saw both


@pytest.mark.parametrize("mode", ["each", "together"])
@pytest.mark.parametrize("count", [1, 3])
async def test_all_ways_give_the_same_answer(index, mode, count):
    options = {"mode": mode, "rerank_top_n": count}
    query = "A red field?"
    whole = index.as_query_engine(**options).query(query)
    again = await index.as_query_engine(**options).aquery(query)
    stream = index.as_query_engine(streaming=True, **options).query(query)
    assert "".join(stream.response_gen) == str(again) == str(whole)
    astream = await index.as_query_engine(streaming=True, **options).aquery(query)
    assert "".join([piece async for piece in astream.async_response_gen()]) == str(whole)
    for streamed in (stream, astream):
        assert streamed.metadata["answers"] == whole.metadata["answers"]
        assert streamed.metadata["memvr"] == whole.metadata["memvr"]


def test_a_stream_that_is_left_stops_the_computing(index, engine):
    stream = index.as_query_engine(streaming=True).query("A red field?").response_gen
    assert next(stream)
    closed = engine.closed
    stream.close()
    assert engine.closed == closed + 1


def test_nothing_found_is_said_without_asking(index, engine):
    nowhere = MetadataFilters(filters=[ExactMatchFilter(key="file_name", value="none")])
    response = index.as_query_engine(filters=nowhere).query("A red field?")
    assert "No image in this collection" in str(response)
    assert not citations(response)
    assert not engine.requests
    for streaming in (False, True):
        asking = index.as_query_engine(filters=nowhere, streaming=streaming)
        assert asking.query("A red field?").metadata == {
            "answers": [],
            "memvr": [],
            "left_out": [],
            "withheld": [],
            "abstained": False,
        }
    synthesizer = ImageSynthesizer(llm=index.llm, streaming=True)
    assert "".join(synthesizer.get_response("A red field?", [])) == NOTHING_FOUND


def test_a_file_that_is_gone_is_left_out_with_a_warning(index, tmp_path):
    (tmp_path / "fields" / "green.png").unlink()
    with pytest.warns(MemVRWarning, match=r"no longer there, .*green\.png.* refresh\(\)"):
        response = index.as_query_engine(rerank_top_n=None).query("Where is the green field?")
    assert len(response.source_nodes) == 2


def test_marks_of_one_image_alone_are_its_own(index, engine):
    engine._script = lambda request: "A cat [2] and [9]."
    options = {"similarity_top_k": 2, "rerank_top_n": None}
    text = "A cat and. [1]\nA cat and. [2]"
    assert str(index.as_query_engine(**options).query("What?")) == text
    one = {"similarity_top_k": 1, "rerank_top_n": None}
    for streaming in (False, True):
        asking = index.as_query_engine(streaming=streaming, **one)
        assert str(asking.query("What?")) == "A cat and. [1]"


def test_an_image_alone_is_described(index, engine, tmp_path):
    query = QueryBundle(" ", image_path=str(tmp_path / "fields" / "blue.png"))
    options = {"similarity_top_k": 1, "rerank_top_n": None}
    response = index.as_query_engine(**options).query(query)
    assert str(response) == "A field that is blue. [1]"


def test_more_sources_are_not_what_was_left_out(index):
    nodes = index.as_retriever(similarity_top_k=3).retrieve("red")
    response = ImageSynthesizer(llm=index.llm).synthesize("What?", nodes[:1], nodes[1:])
    assert len(response.source_nodes) == 3
    assert response.metadata["left_out"] == []


def test_what_does_not_fit_is_an_error_or_left_out_by_choice(index, engine):
    engine.context = 256 + 64 + 60  # the answer, one image, and text
    options = {"mode": "together", "rerank_top_n": None}
    with pytest.raises(RequestError, match=r"3 images .* overflow='leave_out'"):
        index.as_query_engine(**options).query("What is it?")
    response = index.as_query_engine(overflow="leave_out", **options).query("What is it?")
    assert len(engine.requests[-1].images) == 1
    assert response.metadata["left_out"] == [f.node.node_id for f in response.source_nodes[1:]]
    assert [n for n, _ in cited(response)] == [1]
    engine.context = 256 + 64
    with pytest.raises(RequestError, match="has room"):
        index.as_query_engine(overflow="leave_out", **options).query("What is it?")


def test_what_fits_is_found_by_few_countings(index, engine, monkeypatch):
    def counted(request):
        counts.append(len(request.images))
        return type(engine).count(engine, request)

    counts = []
    monkeypatch.setattr(engine, "count", counted)
    nodes = index.as_retriever(similarity_top_k=1).retrieve("red") * 64
    engine.context = 256 + 64 * 10 + 140  # ten images, the answer and text
    asking = ImageSynthesizer(llm=index.llm, mode="together", overflow="leave_out")
    assert len(asking.synthesize("What?", nodes).metadata["left_out"]) == 54
    assert len(counts) < 9
    assert asking.get_response("What?", []) == NOTHING_FOUND


def test_an_image_or_other_words_can_be_searched_by(index, engine, tmp_path):
    query = QueryBundle("What is it?", image_path=str(tmp_path / "fields" / "blue.png"))
    options = {"similarity_top_k": 1, "rerank_top_n": None}
    assert str(index.as_query_engine(**options).query(query)) == "I see blue. [1]"
    query = QueryBundle("What is it?", custom_embedding_strs=["something green"])
    assert str(index.as_query_engine().query(query)) == "I see green. [1]"
    assert shown(engine.requests[-1]).endswith("What is it?")
    with pytest.raises(RequestError, match="question is empty"):
        index.as_query_engine().query(QueryBundle(""))


def test_prompts_can_be_changed(index, engine):
    asking = index.as_query_engine()
    name = "response_synthesizer:each_template"
    assert name in asking.get_prompts()
    asking.update_prompts({name: PromptTemplate("Short: {query_str}")})
    asking.query("A red {field}?")
    assert shown(engine.requests[-1]).endswith("Short: A red {field}?")


def test_another_llm_may_answer(index):
    with pytest.raises(ConfigError, match="MockLLM is no chat model"):
        index.as_query_engine(llm=MockLLM())
    with pytest.raises(ConfigError, match="structured LLM"):
        index.as_query_engine(llm=index.llm.as_structured_llm(Shade), rerank_top_n=None)
    mock = MockLLM(is_chat_model=True)
    with pytest.raises(ConfigError, match="MockLLM gives no probabilities"):
        index.as_query_engine(llm=mock)
    engine = index.as_query_engine(llm=mock, rerank_top_n=None, similarity_top_k=1)
    assert engine.query("A red field?").metadata["memvr"] == [None]


async def test_another_llm_may_stream_what_cannot_be_closed(index):
    class Plain(MockLLM):
        def stream_chat(self, messages, **kwargs):
            return iter(list(super().stream_chat(messages, **kwargs)))

        async def astream_chat(self, messages, **kwargs):
            return _Pieces([piece async for piece in await super().astream_chat(messages)])

    engine = index.as_query_engine(
        llm=Plain(is_chat_model=True), rerank_top_n=None, similarity_top_k=1, streaming=True
    )
    streamed = "".join(engine.query("A red field?").response_gen)
    assert "red field" in streamed
    answer = await engine.aquery("A red field?")
    assert "".join([piece async for piece in answer.async_response_gen()]) == streamed


class _Pieces:
    def __init__(self, pieces):
        self._left = iter(pieces)

    def __aiter__(self):
        return self

    async def __anext__(self):
        for piece in self._left:
            return piece
        raise StopAsyncIteration


def test_unknown_modes_are_refused(index):
    with pytest.raises(ConfigError, match="mode='all' must be one of"):
        index.as_query_engine(mode="all")
    with pytest.raises(ConfigError, match="overflow='drop' must be"):
        ImageSynthesizer(llm=MockLLM(is_chat_model=True), overflow="drop")
    with pytest.raises(ConfigError, match="rerank_top_n=0 must be an integer of at least 1"):
        index.as_query_engine(rerank_top_n=0)


def test_cores_own_engines_see_captions_and_cost(index, engine):
    retriever = index.as_retriever(similarity_top_k=3)
    core = RetrieverQueryEngine.from_args(retriever, llm=index.llm, multimodal=True)
    core.query("What is it?")
    [asked] = engine.requests  # core's own estimate would make three of it
    assert len(asked.images) == 3
    for color in THREE:
        assert f"A field that is {color}." in shown(asked)
    engine.requests.clear()
    response = CitationQueryEngine.from_args(
        index, retriever=retriever, llm=index.llm, multimodal=True
    ).query("What is it?")
    assert sum(len(request.images) for request in engine.requests) == 3
    assert len(response.source_nodes) >= 3


@pytest.mark.parametrize("count", [1, 2])
async def test_a_stream_that_was_read_knows_its_text(index, count):
    asking = index.as_query_engine(streaming=True, rerank_top_n=count)
    query = "A red field?"
    whole = index.as_query_engine(rerank_top_n=count).query(query)
    stream = asking.query(query)
    assert "".join(stream.response_gen) == str(whole) == str(stream)
    assert cited(stream) == cited(whole)
    assert stream.get_response().response == str(whole)
    begun = asking.query(query)
    next(begun.response_gen)
    assert cited(begun) == cited(whole)
    astream = await asking.aquery(query)
    with pytest.raises(RequestError, match="not read to its end"):
        citations(astream)
    assert "".join([piece async for piece in astream.response_gen]) == str(whole)
    assert cited(astream) == cited(whole)
    assert (await astream.get_response()).response == str(whole)
    fresh = await asking.aquery(query)
    assert str(await fresh.get_response()) == str(fresh) == str(whole)


def test_a_stream_of_nothing_says_so(index):
    nowhere = MetadataFilters(filters=[ExactMatchFilter(key="file_name", value="none")])
    stream = index.as_query_engine(filters=nowhere, streaming=True).query("A red field?")
    assert "".join(stream.response_gen) == NOTHING_FOUND == str(stream)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"rerank_top_n": "1"}, "rerank_top_n='1' must be an integer of at least 1"),
        ({"rerank_top_n": True}, "rerank_top_n=True must"),
        ({"llm": "bundled"}, "llm='bundled' can't be used"),
        ({"node_postprocessors": VisualRerank}, "node_postprocessors=.*give a list"),
        ({"node_postprocessors": ["x"]}, "node_postprocessors='x' can't be used"),
        ({"similarity_topk": 3}, "no option 'similarity_topk'. Did you mean 'similarity_top_k'"),
    ],
)
def test_wrong_options_are_refused(index, wrong, hint):
    for make in (index.as_query_engine, index.as_chat_engine):
        with pytest.raises(ConfigError, match=hint):
            make(**wrong)


def test_documents_are_cited_by_their_files(index, tmp_path):
    path = tmp_path / "fields" / "red.png"
    nodes = [
        NodeWithScore(node=ImageDocument(image_path=str(path))),
        NodeWithScore(node=Node(image_resource=MediaResource(path=path))),
    ]
    response = ImageSynthesizer(llm=index.llm).synthesize("What?", nodes)
    assert [one.source for one in citations(response)] == [str(path)] * 2
