"""ChatMemVR's answers: what they say about themselves, many at once, counted, in a structure."""

import asyncio
import json
import time

import pytest
from bundled_settings import ALWAYS
from langchain_core import exceptions
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from pydantic import BaseModel
from waiting import together

from memvr_integrations import errors
from memvr_integrations.langchain import ChatMemVR, image_block


@pytest.fixture
def model(backend):
    return ChatMemVR(engine=backend, max_tokens=64)


@pytest.fixture
def seen(scene_file):
    return HumanMessage([image_block(scene_file), "What is in the picture?"])


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


def test_the_likeliest_tokens_come_in_openais_form(model, seen):
    options = {"temperature": 1.5, "seed": 2, "max_tokens": 8, "top_logprobs": 3}
    answer = model.invoke([seen], **options)
    tokens = answer.response_metadata["logprobs"]["content"]
    for token in tokens:
        assert [set(one) for one in token["top_logprobs"]] == [{"token", "logprob", "bytes"}] * 3
        logs = [one["logprob"] for one in token["top_logprobs"]]
        assert logs == sorted(logs, reverse=True)
        assert token["logprob"] <= logs[0]
    assert json.loads(json.dumps(answer.response_metadata)) == answer.response_metadata
    *_, last = model.stream([seen], **options)
    assert last.response_metadata["logprobs"]["content"] == tokens
    bound = model.bind(top_logprobs=1).invoke([seen], max_tokens=1)
    [token] = bound.response_metadata["logprobs"]["content"]
    assert token["top_logprobs"] == [{key: token[key] for key in ("token", "logprob", "bytes")}]


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


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": "https://img.example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "file:///nowhere/a.png"}},
        {"type": "image_url", "image_url": {}},
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_the_error_of_a_picture_says_which_one_it_is(
    backend, scene_file, seen, broken, elsewhere
):
    model = ChatMemVR(engine=backend, image_policy={"image_dirs": [scene_file.parent]})
    good = {"type": "image_url", "image_url": scene_file.as_uri()} if elsewhere else seen.content[0]
    call = {"id": "1", "name": "look", "args": {}}
    chat = [SystemMessage("Be brief."), seen, AIMessage("", tool_calls=[call])]
    chat += [ToolMessage([good, "and", broken], tool_call_id="1", status="error")]
    place = r"^message 4 \(tool\), picture 2: "
    with pytest.raises(errors.ImageError, match=place):
        model.invoke(chat)
    with pytest.raises(errors.ImageError, match=place):
        await model.ainvoke(chat)
    with pytest.raises(errors.ImageError, match=place):
        next(model.stream(chat))
    with pytest.raises(errors.ImageError, match=place):
        model.get_num_tokens_from_messages(chat)


def test_paths_and_urls_in_messages_open_nothing(model):
    for url in ("/etc/hostname", "file:///etc/hostname", "https://127.0.0.1/a.png", "etc/hostname"):
        with pytest.raises(errors.ImageError):
            model.invoke([HumanMessage([{"type": "image_url", "image_url": url}])])


# -- many at once


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


async def test_concurrent_calls_share_their_steps(backend, scenes, endless):
    model = ChatMemVR(engine=backend, max_tokens=8)
    asked = [[HumanMessage([image_block(scene.pixels), "What?"])] for scene in scenes]
    with endless(backend) as passes, together(backend, rows=len(asked)):
        answers = await asyncio.gather(*(model.ainvoke(one) for one in asked))
    assert max(passes.rows) == len(asked)
    with endless(backend):
        alone = [model.invoke(one).content for one in asked]
    assert [one.content for one in answers] == alone


def test_batches_too(backend, scenes, endless):
    model = ChatMemVR(engine=backend, max_tokens=8)
    asked = [[HumanMessage([image_block(scene.pixels), "What?"])] for scene in scenes]
    with endless(backend) as passes, together(backend, rows=6):
        assert len(model.batch(asked, {"max_concurrency": 6})) == 6
    assert max(passes.rows) == 6


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


def zoom(part: str) -> str:
    """Shows a part of the picture, larger."""
    return part


def test_trimming_by_a_bound_model_leaves_room_for_its_tools(model):
    bound = model.bind_tools([zoom])
    history = [HumanMessage(f"Is there a cow in picture {i}?") for i in range(60)]
    kept = trim_messages(history, max_tokens=500, strategy="last", token_counter=bound)
    assert 0 < len(kept) < 60
    assert bound.invoke(kept).usage_metadata["input_tokens"] <= 500
    assert model.get_num_tokens_from_messages(kept, tools=[zoom]) <= 500


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


@pytest.mark.parametrize(
    ("method", "include_raw"),
    [("json_schema", False), ("function_calling", False), ("json_mode", True)],
)
def test_structured_output(model, seen, method, include_raw):
    chain = model.with_structured_output(Place, method=method, include_raw=include_raw)
    found = chain.invoke([seen])
    if include_raw:
        assert isinstance(found["raw"], AIMessage)
        assert found["parsing_error"] is None
        found = found["parsed"]
    assert isinstance(found, Place)


def test_an_unknown_method_is_refused(model):
    with pytest.raises(errors.ConfigError, match="method='xml'"):
        model.with_structured_output(Place, method="xml")
