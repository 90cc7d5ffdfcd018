"""ChatMemVR as its users call it."""

import asyncio
import copy
import gc
import json
import pickle
import threading
import time
import warnings

import PIL.Image
import pytest
from langchain_core import exceptions
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, trim_messages
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel, ValidationError
from scripted_engine import ScriptedEngine

from memvr_integrations import errors
from memvr_integrations.backend.registry import SHARED
from memvr_integrations.langchain import ChatMemVR, image_block
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.policy import ImagePolicy

ALWAYS = MemVRConfig(starting_layer=2, ending_layer=9, entropy_threshold=0.0, retracing_ratio=0.2)


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


# -- options


@pytest.mark.parametrize("name", sorted(set(ChatMemVR.model_fields) - {"n", "name", "tags"}))
def test_a_typo_in_any_option_is_told(name):
    typo = name[:-1] + ("x" if name[-1] != "x" else "y")
    with pytest.raises(ValidationError, match=f"no option '{typo}'.*Did you mean"):
        ChatMemVR(**{typo: 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"max_tokens": 0},
        {"top_p": 2},
        {"n": 0},
        {"seed": -1},
        {"stop": [""]},
        {"max_retries": -1},
        {"memvr": "yes"},
        {"memvr": {"retracing_ratio": 2}},
        {"memvr": {"ratio": 0.2}},
        {"dtype": "int4"},
        {"allow_image_urls": ("https://example.org",)},
    ],
)
def test_values_outside_their_limits_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)) + "|host"):
        ChatMemVR(**wrong)


def test_a_typo_in_a_call_is_told(scripted):
    with pytest.raises(errors.ConfigError, match=r"'temprature'.*Did you mean 'temperature'"):
        scripted.invoke("Hi", temprature=1)


def test_options_reach_the_engine(engine):
    model = ChatMemVR(
        model="scripted",
        engine=engine,
        temperature=0.5,
        max_tokens=7,
        stop_sequences=["x"],
        seed=3,
        timeout=9,
        memvr=ALWAYS,
        allow_image_urls=("img.example.org",),
    )
    model.invoke("Hi")
    [request] = engine.requests
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.5, 7)
    assert (request.sampling.stop, request.sampling.seed, request.timeout) == (("x",), 3, 9)
    assert request.memvr == ALWAYS
    assert request.image_policy.allowed_hosts == ("img.example.org",)


def test_a_call_may_have_other_options(scripted, engine):
    scripted.bind(memvr=None, max_tokens=3).invoke("Hi", stop=["y"])
    scripted.invoke("Hi", memvr={"retracing_ratio": 0.5})
    first, second = engine.requests
    assert (first.memvr, first.sampling.max_tokens, first.sampling.stop) == (None, 3, ("y",))
    assert second.memvr == MemVRConfig(retracing_ratio=0.5)


def test_every_public_host_only_when_told(engine):
    model = ChatMemVR(model="scripted", engine=engine, allow_image_urls=True)
    model.invoke("Hi")
    model.allow_image_urls = ["img.example.org"]
    model.invoke("Hi")
    hosts = [request.image_policy.allowed_hosts for request in engine.requests]
    assert hosts == [("*",), ("img.example.org",)]
    model.allow_image_urls = "img.example.org"
    with pytest.raises(errors.ConfigError, match="tuple of hosts"):
        model.invoke("Hi")


def test_an_engine_keeps_its_own_limits_for_pictures(engine, tmp_path, scenes):
    engine.image_policy = ImagePolicy(image_dirs=(tmp_path,))
    PIL.Image.fromarray(scenes[0].pixels).save(tmp_path / "scene.png")
    block = {"type": "image", "url": (tmp_path / "scene.png").as_uri()}
    model = ChatMemVR(model="scripted", engine=engine)
    model.invoke([HumanMessage([block])])
    list(model.stream([HumanMessage([block])]))
    assert {request.image_policy for request in engine.requests} == {engine.image_policy}
    with pytest.raises(errors.ImageError, match="image_dirs"):
        ChatMemVR(model="scripted", engine=engine, allow_image_urls=True).invoke(
            [HumanMessage([block])]
        )


# -- copies, pickles, keys


def test_it_can_be_written_and_read():
    model = ChatMemVR(memvr=ALWAYS, image_dirs=("/tmp",), seed=0, stream_usage=False, stop=["x"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LangChain calls `loads` a beta, once
        again = loads(
            dumps(model), allowed_objects=[ChatMemVR], valid_namespaces=["memvr_integrations"]
        )
    assert again == model
    assert "api_key" not in dumps(ChatMemVR(api_key="secret"))


@pytest.mark.parametrize(
    "remake", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_are_equal_and_work(remake):
    model = ChatMemVR(memvr=ALWAYS, device="cpu", max_tokens=2)
    assert remake(model) == model
    assert remake(model).invoke("Hello").content == model.invoke("Hello").content


def test_a_cache_tells_options_and_pixels_apart(engine, scenes, tmp_path):
    model = ChatMemVR(model="scripted", engine=engine, cache=InMemoryCache())
    pictures = [HumanMessage([image_block(scene.pixels), "What?"]) for scene in scenes[:2]]
    for _ in range(2):
        for picture in pictures:
            model.invoke([picture])
    assert len(engine.requests) == 2
    model.invoke([pictures[0]], memvr=None)
    model.memvr = ALWAYS
    model.invoke([pictures[0]])
    assert len(engine.requests) == 4


async def test_a_cache_sees_what_lies_behind_a_url(engine, scenes, tmp_path):
    cache = InMemoryCache()
    model = ChatMemVR(model="scripted", engine=engine, cache=cache, image_dirs=(tmp_path,))
    file = tmp_path / "a.png"
    message = HumanMessage([{"type": "image_url", "image_url": {"url": file.as_uri()}}, "What?"])
    for scene in scenes[:2]:
        PIL.Image.fromarray(scene.pixels).save(file)
        model.invoke([message])
        await model.ainvoke([message])
    assert len(engine.requests) == 2


# -- answers


def test_an_answer_says_how_sure_it_is(model, seen):
    answer = model.invoke([seen], memvr=ALWAYS)
    record = answer.response_metadata["memvr"]
    assert record["retraced_tokens"] == answer.usage_metadata["output_tokens"]
    assert sum(record["layers"].values()) == record["retraced_tokens"]
    assert 0 <= record["mean_entropy"] <= record["max_entropy"] <= 1
    assert record["image_tokens"] == 64
    tokens = answer.response_metadata["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == answer.content
    assert all(token["logprob"] <= 0 for token in tokens)
    assert bytes(tokens[0]["bytes"]).decode() == tokens[0]["token"]
    assert json.loads(json.dumps(answer.response_metadata)) == answer.response_metadata


def test_without_memvr_nothing_is_retraced(model, seen):
    record = model.invoke([seen], memvr=None).response_metadata["memvr"]
    assert record["config"] is None
    assert record["retraced_tokens"] == 0
    assert record["mean_entropy"] is None
    assert record["mean_output_entropy"] is not None


def test_logprobs_can_be_left_out(model, seen):
    assert "logprobs" not in model.invoke([seen], logprobs=False).response_metadata


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


async def test_a_cancelled_call_stops_the_computing(backend, seen, endless):
    model = ChatMemVR(engine=backend, max_tokens=1500)
    with endless(backend) as hook:
        task = asyncio.create_task(model.ainvoke([seen]))
        while hook.forwards < 5:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        end = time.monotonic() + 10
        while backend.busy:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)


async def test_concurrent_calls_share_batches(backend, scenes):
    model = ChatMemVR(engine=backend, max_tokens=8)
    asked = [[HumanMessage([image_block(scene.pixels), "What?"])] for scene in scenes] * 2
    before = backend.batches
    answers = await asyncio.gather(*(model.ainvoke(one) for one in asked))
    assert backend.batches - before < len(asked) / 2
    assert [one.content for one in answers] == [model.invoke(one).content for one in asked]


def test_batches_too(backend, scenes):
    model = ChatMemVR(engine=backend, max_tokens=8)
    asked = [[HumanMessage([image_block(scene.pixels), "What?"])] for scene in scenes]
    before = backend.batches
    assert len(model.batch(asked, {"max_concurrency": 6})) == 6
    assert backend.batches - before < 6


def test_errors_have_both_names(model, seen):
    with pytest.raises(exceptions.ModelTimeoutError) as late:
        model.invoke([seen], timeout=1e-6)
    assert isinstance(late.value, errors.RequestTimeoutError)
    broken = HumanMessage([{"type": "image", "base64": "AAAA", "mime_type": "image/png"}])
    with pytest.raises(exceptions.ModelInvalidRequestError) as refused:
        model.invoke([broken])
    assert isinstance(refused.value, errors.ImageError)
    with pytest.raises(exceptions.ContextOverflowError):
        model.invoke("cow " * 5000)


def test_paths_and_urls_in_messages_open_nothing(model):
    for url in ("/etc/hostname", "file:///etc/hostname", "https://127.0.0.1/a.png", "etc/hostname"):
        with pytest.raises(errors.ImageError):
            model.invoke([HumanMessage([{"type": "image_url", "image_url": url}])])


# -- the model in memory


def test_nothing_is_loaded_before_the_first_call():
    before = SHARED.users("bundled")
    model = ChatMemVR()
    assert SHARED.users("bundled") == before
    model.get_num_tokens("a cow")
    assert SHARED.users("bundled") == before + 1
    model.unload()
    assert SHARED.users("bundled") == before


def test_models_share_one_backend():
    first, second = ChatMemVR(device="cpu"), ChatMemVR(device="cpu", temperature=1)
    assert first._engine({}) is second._engine({})


async def test_loading_does_not_hold_up_the_loop(monkeypatch):
    loading = threading.Event()

    def load(name, config):
        assert loading.wait(10)
        return ScriptedEngine()

    monkeypatch.setattr(SHARED, "_load", load)
    monkeypatch.setattr(ScriptedEngine, "close", lambda self: None, raising=False)
    model = ChatMemVR(model="bundled", revision="never loaded")
    task = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.sleep(0.05)  # the loop runs
    loading.set()
    assert (await task).content
    model.unload()


def test_an_unknown_model_is_told():
    with pytest.raises(errors.ModelNotFoundError, match="Did you mean 'bundled'"):
        ChatMemVR(model="bundeld").invoke("Hi")


# -- counting and describing


def test_tokens_are_counted_exactly(model, seen):
    used = model.invoke([seen]).usage_metadata["input_tokens"]
    assert model.get_num_tokens_from_messages([seen]) == used

    def zoom(x: int) -> str:
        """Shows a part of the picture, larger."""
        return ""

    used = model.bind_tools([zoom], tool_choice="auto").invoke([seen]).usage_metadata
    assert model.get_num_tokens_from_messages([seen], tools=[zoom]) == used["input_tokens"]
    assert model.get_num_tokens(" a cow") == 2


def test_a_long_history_can_be_counted_and_trimmed(model):
    history = [HumanMessage(f"Is there a cow in picture {i}?") for i in range(300)]
    assert model.get_num_tokens_from_messages(history) > 2048
    kept = trim_messages(history, max_tokens=500, strategy="last", token_counter=model)
    assert 0 < len(kept) < 300
    assert model.get_num_tokens_from_messages(kept) <= 500


def test_the_profile_says_what_it_can():
    profile = ChatMemVR(model="llava-1.5-7b").profile
    assert profile["image_inputs"]
    assert profile["structured_output"]
    assert not profile["audio_inputs"]
    assert not profile["image_url_inputs"]


# -- structure


class Place(BaseModel):
    """Where the picture was taken."""

    name: str
    animals: int = 0


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("include_raw", [False, True])
def test_structured_output(model, seen, method, include_raw):
    chain = model.with_structured_output(Place, method=method, include_raw=include_raw)
    found = chain.invoke([seen])
    if include_raw:
        assert isinstance(found["raw"], AIMessage)
        assert found["parsing_error"] is None
        found = found["parsed"]
    assert isinstance(found, Place)


def test_an_unknown_method_is_told(model):
    with pytest.raises(errors.ConfigError, match="method='xml'"):
        model.with_structured_output(Place, method="xml")
