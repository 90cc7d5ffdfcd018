import math

import pytest
from fields import SeeingEngine, collection
from llama_index.core.schema import (
    Document,
    ImageDocument,
    MediaResource,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from pydantic import ValidationError

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index import VisualRerank
from memvr_integrations.llama_index.asking.rerank import named_things


@pytest.fixture
def engine():
    return SeeingEngine()


@pytest.fixture
def index(tmp_path, engine):
    return collection(tmp_path / "fields", engine)


@pytest.fixture
def found(index):
    nodes = index.as_retriever(similarity_top_k=3).retrieve("Where?")
    return sorted(nodes, key=lambda one: "blue" in one.node.text)  # blue comes last


def texts(nodes):
    return [node.node.get_content() for node in nodes]


@pytest.mark.parametrize(
    ("question", "things"),
    [
        ("How many cats are in the picture with a dog?", ["cat", "dog"]),
        ("What color is the glass?", ["glass"]),
        ("What do you see in these images?", []),
        ("Which boxes are left of the bus, next to two glasses?", ["box", "bus", "glass"]),
        ("Are there sheep, mice or 3 knives?", ["knife", "mouse", "sheep"]),
        ("", []),
    ],
)
def test_things_are_named_in_the_singular(question, things):
    assert named_things(question) == things


def test_a_picture_is_read_once_for_all_things(index, found, engine):
    VisualRerank(llm=index.llm).postprocess_nodes(found, query_str="A blue cat, dog and cow?")
    shown = [request.images[0].source for request in engine.requests]
    assert len(shown) == 4 * len(found)  # blue is a thing too
    assert len({id(one) for one in shown}) == len(found)


async def test_what_is_seen_comes_first(index, found):
    rerank = VisualRerank(llm=index.llm, top_n=2, keep_retrieval_score=True)
    sorted_ = rerank.postprocess_nodes(found, query_str="Where is the blue one?")
    assert texts(sorted_)[0] == "A field that is blue."
    assert len(sorted_) == 2
    share = 1 / (1 + math.exp(-3.0 + 0.1))
    assert sorted_[0].score == pytest.approx(share)
    assert sorted_[0].node.metadata["retrieval_score"] == found[-1].score
    assert "retrieval_score" not in found[-1].node.metadata  # what was given stays as it was
    again = await rerank.apostprocess_nodes(found, query_bundle=QueryBundle("Where is blue?"))
    assert texts(again) == texts(sorted_)


def test_several_things_count_together(index, found):
    rerank = VisualRerank(llm=index.llm, things=lambda question: ["blue", "red"])
    shares = {node.node.text: node.score for node in rerank.postprocess_nodes(found, query_str="?")}
    assert shares["A field that is blue."] == pytest.approx(shares["A field that is red."])
    assert shares["A field that is red."] > shares["A field that is green."]


def test_a_question_that_names_nothing_changes_nothing(index, found, engine):
    rerank = VisualRerank(llm=index.llm, top_n=3)
    assert rerank.postprocess_nodes(found, query_str="What do you see?") == found
    assert not engine.requests


def test_texts_come_after_images(index, found):
    text = NodeWithScore(node=TextNode(text="words"), score=1.0)
    rerank = VisualRerank(llm=index.llm, top_n=4)
    assert texts(rerank.postprocess_nodes([text, *found], query_str="blue?"))[-1] == "words"
    assert rerank.postprocess_nodes([], query_str="blue?") == []


def test_it_needs_the_question_and_reports_what_it_does(index, found):
    events = []

    class Handler(BaseEventHandler):
        def handle(self, event, **kwargs):
            events.append(type(event).__name__)

    dispatcher, handler = get_dispatcher(), Handler()
    dispatcher.add_event_handler(handler)
    try:
        VisualRerank(llm=index.llm).postprocess_nodes(found, query_str="blue?")
    finally:
        dispatcher.event_handlers.remove(handler)
    assert [name for name in events if "ReRank" in name] == ["ReRankStartEvent", "ReRankEndEvent"]
    with pytest.raises(RequestError, match="needs the question"):
        VisualRerank(llm=index.llm).postprocess_nodes(found)


def test_documents_with_pictures_are_looked_at(index, tmp_path):
    def made(color):
        path = tmp_path / "fields" / f"{color}.png"
        return [
            ImageDocument(image_path=str(path)),
            Node(image_resource=MediaResource(path=path)),
            Document(image_resource=MediaResource(path=path)),
        ]

    nodes = [NodeWithScore(node=node, score=0.5) for node in [*made("red"), *made("blue")]]
    sorted_ = VisualRerank(llm=index.llm, top_n=3).postprocess_nodes(nodes, query_str="blue?")
    assert [one.node for one in sorted_] == [one.node for one in nodes[3:]]
    assert all(one.score > 0.5 for one in sorted_)


def test_a_typo_is_refused(index):
    with pytest.raises(ValidationError, match=r"VisualRerank has no option 'topn'.*'top_n'"):
        VisualRerank(llm=index.llm, topn=3)
    with pytest.raises(ValidationError, match="callback_manager='x' can't be used"):
        VisualRerank(llm=index.llm, callback_manager="x")
