"""ChatMemVR's streams, and several answers, which never are one."""

import gc

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from scripted_engine import ScriptedEngine

from memvr_integrations import errors
from memvr_integrations.langchain import ChatMemVR, image_block
from memvr_integrations.types.decoding import OPERAConfig


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def scripted(engine):
    return ChatMemVR(model="scripted", engine=engine)


@pytest.fixture
def model(backend):
    return ChatMemVR(engine=backend, max_tokens=64)


@pytest.fixture
def seen(scene_file):
    return HumanMessage([image_block(scene_file), "What is in the picture?"])


def test_a_stream_adds_up_to_the_answer(model, seen):
    whole = model.invoke([seen])
    chunks = list(model.stream([seen]))
    assert len(chunks) > 3
    added = chunks[0]
    for chunk in chunks[1:]:
        added += chunk
    assert added.content == whole.content
    assert added.usage_metadata == whole.usage_metadata
    assert added.response_metadata == whole.response_metadata
    assert [bool(chunk.response_metadata) for chunk in chunks].count(True) == 1
    assert chunks[-1].chunk_position == "last"


def test_usage_in_a_stream_can_be_left_out(scripted):
    assert all(chunk.usage_metadata is None for chunk in scripted.stream("Hi", stream_usage=False))


def test_calls_are_streamed(model, seen):
    def zoom(x: int, y: int) -> str:
        """Shows a part of the picture, larger."""
        return ""

    bound = model.bind_tools([zoom], tool_choice="zoom").bind(max_tokens=80)
    chunks = list(bound.stream([seen]))
    added = chunks[0]
    for chunk in chunks[1:]:
        added += chunk
    [call] = added.tool_calls
    assert set(call["args"]) == {"x", "y"}
    assert added.content == ""
    assert len([chunk for chunk in chunks if chunk.tool_call_chunks]) > 2


def test_a_stream_that_is_left_is_closed(scripted, engine):
    for _ in scripted.stream("Hi"):
        break
    gc.collect()
    assert engine.closed == 1


# -- several answers


def test_several_answers(model, seen):
    result = model.generate([[seen]], n=3, temperature=1.0, seed=1)
    assert len(result.generations[0]) == 3
    with pytest.raises(errors.RequestError, match="n=3 answers can't be streamed"):
        list(model.stream([seen], n=3))


@pytest.mark.parametrize("options", [{"n": 2, "streaming": True}, {"streaming": True}])
async def test_several_answers_are_never_streamed_unasked(engine, options):
    model = ChatMemVR(model="scripted", engine=engine, **options)
    assert model.invoke("Hi", n=2).content == (await model.ainvoke("Hi", n=2)).content
    assert [request.sampling.n for request in engine.requests] == [2, 2]
    assert engine.closed == 0  # no stream was opened
    with pytest.raises(errors.RequestError, match="n=2 answers can't be streamed"):
        [chunk async for chunk in model.astream("Hi", n=2)]
    model.invoke("Hi", n=1)
    assert engine.closed == 1


async def test_several_answers_in_a_watched_chain(engine):
    model = ChatMemVR(model="scripted", engine=engine, n=2)
    chain = RunnableLambda(lambda text: model.invoke(text).content)
    assert [event async for event in chain.astream_events("Hi", version="v2")]
    assert engine.requests[0].sampling.n == 2


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")  # a beta of LangGraph's
async def test_several_answers_in_a_watched_graph(engine):
    model = ChatMemVR(model="scripted", engine=engine, n=2)
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "ask")
    asked = {"messages": [HumanMessage("Hi")]}
    run = await graph.compile().astream_events(asked, version="v3")
    assert [event async for event in run]
    assert engine.requests[0].sampling.n == 2


async def test_a_strategy_without_a_stream_is_never_streamed_unasked(model, seen):
    options = {"decoding": OPERAConfig(beams=2, candidates=1), "memvr": None, "max_tokens": 3}
    model.streaming = True
    whole = model.invoke([seen], **options)
    assert whole.content == (await model.ainvoke([seen], **options)).content
    assert whole.response_metadata["memvr"]["decoding"]["name"] == "opera"
    with pytest.raises(errors.RequestError, match="nothing to stream"):
        [chunk async for chunk in model.astream([seen], **options)]
