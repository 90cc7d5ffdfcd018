"""What is our own in MemVRMultiModalLLM, beyond the contract."""

import asyncio
import io
import json
from dataclasses import asdict

import pytest
from busy import Busy, at_once  # noqa: F401  # a fixture
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field, ValidationError
from scripted_engine import ScriptedEngine
from waiting import eventually, idle

from memvr_integrations import errors
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types.decoding import DoLaConfig, VCDConfig

ALWAYS = MemVRConfig(starting_layer=2, ending_layer=5, entropy_threshold=0.0, retracing_ratio=0.2)


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def scripted(engine):
    return MemVRMultiModalLLM(model="scripted", engine=engine)


@pytest.fixture
def llm(backend):
    return MemVRMultiModalLLM(model="bundled", engine=backend, max_tokens=24)


@pytest.fixture
def asked(scene_file):
    blocks = [ImageBlock(path=scene_file), TextBlock(text="What is in the picture?")]
    return [ChatMessage(role="user", blocks=blocks)]


@pytest.mark.parametrize(
    "name", [n for n in MemVRMultiModalLLM.model_fields if len(n) > 4 and n != "engine"]
)
def test_a_typo_in_any_option_is_refused(name):
    with pytest.raises(ValidationError, match=f"no option '{name[:-1]}x'.*Did you mean"):
        MemVRMultiModalLLM(**{name[:-1] + "x": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"temperature": -1},
        {"top_p": 2},
        {"timeout": -1},
        {"memvr": "yes"},
        {"memvr": {"retracing_ratio": 7}},
        {"max_retries": -1},
        {"image_policy": {"allowed_hosts": ["no host!"]}},
    ],
)
def test_values_outside_their_limits_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)) + "|host"):
        MemVRMultiModalLLM(**wrong)


def test_a_typo_in_a_call_is_refused(scripted):
    with pytest.raises(errors.ConfigError, match=r"no option 'temprature'. Did you mean 'temper"):
        scripted.complete("Hi", temprature=1)


def test_options_reach_the_engine(engine):
    llm = MemVRMultiModalLLM(
        model="scripted", engine=engine, seed=3, stop=["x"], timeout=9, memvr=asdict(ALWAYS)
    )
    llm.complete("Hi", temperature=0.5, max_tokens=7)
    [request] = engine.requests
    assert request.sampling.seed == 3
    assert request.sampling.stop == ("x",)
    assert request.sampling.temperature == 0.5
    assert request.sampling.max_tokens == 7
    assert request.timeout == 9
    assert request.memvr == ALWAYS


def test_an_answer_says_how_sure_it_is(llm, asked):
    response = llm.chat(asked, memvr=ALWAYS)
    record = response.additional_kwargs["memvr"]
    assert json.loads(json.dumps(record)) == record
    assert record["retraced_tokens"] == len(record["tokens"]) == len(response.logprobs) > 0
    assert 0 < record["unsureness"] <= 1
    assert llm.chat(asked, memvr=None).additional_kwargs["memvr"]["retraced_tokens"] == 0


def test_logprobs_can_be_left_out(llm, asked):
    for response in (llm.chat(asked, logprobs=False), *llm.stream_chat(asked, logprobs=False)):
        assert response.logprobs is None
        assert response.raw is None or response.raw["choices"][0]["logprobs"] is None
        assert "tokens" not in response.additional_kwargs.get("memvr", {})


def test_the_likeliest_tokens_follow_each_token(llm, asked):
    options = {"temperature": 1.5, "seed": 2, "max_tokens": 8, "top_logprobs": 3}
    response = llm.chat(asked, **options)
    [choice] = response.raw["choices"]
    content = choice["logprobs"]["content"]
    assert content == response.additional_kwargs["memvr"]["tokens"]
    for token, found in zip(content, response.logprobs, strict=True):
        assert (found[0].token, found[0].logprob) == (token["token"], token["logprob"])
        # Its own probability is said once, whether or not it is among the likeliest.
        likely = [(one["token"], one["logprob"]) for one in token["top_logprobs"]]
        others = [(one.token, one.logprob) for one in found[1:]]
        assert len(likely) == 3
        assert others == [one for one in likely if one[1] != token["logprob"]]
    streamed = [one for piece in llm.stream_chat(asked, **options) for one in piece.logprobs]
    assert streamed == response.logprobs
    [[one], *_] = llm.chat(asked, max_tokens=2).logprobs
    assert one.logprob <= 0


def test_several_answers_are_choices(llm, asked):
    response = llm.chat(asked, n=3, temperature=1.0, seed=1)
    choices = response.raw["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert choices[0]["message"]["content"] == response.message.content
    with pytest.raises(errors.RequestError, match="n=3 answers can't be streamed"):
        list(llm.stream_chat(asked, n=3))


def test_tokens_are_counted(llm, asked):
    counter = TokenCountingHandler()
    llm.callback_manager = CallbackManager([counter])
    usage = llm.chat(asked).raw["usage"]
    assert counter.prompt_llm_token_count == usage["prompt_tokens"]
    assert counter.completion_llm_token_count == usage["completion_tokens"]


def test_urls_and_their_policy(scripted, llm):
    block = ImageBlock(url="http://127.0.0.1/a.png")
    with pytest.raises(errors.ImageError, match="allow"):
        llm.chat([ChatMessage(role="user", blocks=[block])])
    policy = {"allowed_hosts": ["*"]}
    MemVRMultiModalLLM(model="s", engine=scripted.engine, image_policy=policy).complete("Hi")
    assert scripted.engine.requests[-1].image_policy.allowed_hosts == ("*",)


def test_the_error_of_a_picture_says_which_one_it_is(llm, asked, scene_file):
    place = r"^message 3 \(user\), picture 2: "
    good = ImageBlock(path=scene_file)
    for broken in (
        ImageBlock(image=b"AAAA"),
        ImageBlock(image=io.BytesIO()),
        ImageBlock(url="https://img.example.org/a.png"),
        ImageBlock.model_construct(path=scene_file.with_name("nowhere.png")),
        ImageBlock(),
    ):
        last = ChatMessage(role="user", blocks=[good, broken, TextBlock(text="And now?")])
        chat = [*asked, ChatMessage(role="assistant", content="Yes."), last]
        with pytest.raises(errors.ImageError, match=place):
            llm.chat(chat)
        with pytest.raises(errors.ImageError, match=place):
            list(llm.stream_chat(chat))
        shown = [*chat[:2], ChatMessage(role="user", content="And now?")]
        with pytest.raises(errors.ImageError, match=place):
            llm.chat(shown, image_documents=[good, broken])
        with pytest.raises(errors.ImageError, match=r"^message 1 \(user\), picture 2: "):
            llm.complete("What?", image_documents=[scene_file, broken])


def test_limits_are_known_without_loading(scripted):
    unloaded = MemVRMultiModalLLM(model="bundled", max_tokens=32)
    assert unloaded.metadata.context_window == 2048
    assert unloaded.metadata.num_output == 32
    assert not unloaded._leases.holds("bundled", unloaded._load_config())
    assert scripted.metadata.context_window == 4096
    assert MemVRMultiModalLLM(context_window=99).metadata.context_window == 99


async def test_cancelling_stops_the_computing(backend, asked, endless):
    llm = MemVRMultiModalLLM(model="bundled", engine=backend, max_tokens=1900)
    with endless(backend) as watch:
        task = asyncio.create_task(llm.achat(asked))
        await asyncio.to_thread(eventually, lambda: watch.forwards > 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(eventually, lambda: idle(backend))
    assert watch.forwards < 1900


def test_a_stream_that_is_left_is_closed(scripted, engine):
    stream = scripted.stream_complete("Hi")
    next(stream)
    stream.close()
    assert engine.closed == 1


@pytest.mark.usefixtures("at_once")
async def test_a_full_queue_is_tried_again(engine, asked):
    for ask in ("generate", "stream"):
        busy, real = Busy(2), getattr(engine, ask)
        setattr(engine, ask, lambda request, busy=busy, real=real: busy() and real(request))
    llm = MemVRMultiModalLLM(model="scripted", engine=engine)
    assert llm.chat(asked).message.content == list(llm.stream_chat(asked))[-1].message.content


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # core's
async def test_an_agent_calls_its_tool(scripted):
    async def look(part: str) -> str:
        """Shows a part of the picture."""
        return f"a cow on the {part}"

    agent = FunctionAgent(tools=[FunctionTool.from_defaults(async_fn=look)], llm=scripted)
    answer = await agent.run("What is on the 'left'?")
    assert str(answer) == "The tool said: a cow on the left"


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # core's
async def test_a_picture_that_a_tool_shows_is_seen(scripted, engine, scene_file):
    def look(part: str) -> list[ImageBlock | TextBlock]:
        """Shows a part of the picture."""
        return [TextBlock(text=f"The {part}:"), ImageBlock(path=scene_file)]

    agent = FunctionAgent(tools=[FunctionTool.from_defaults(look)], llm=scripted)
    assert str(await agent.run("What is on the 'left'?")) == "The tool said: The left:"
    assert [len(request.images) for request in engine.requests] == [0, 1]


def test_a_class_is_kept_with_all_its_limits(llm):
    class Counted(BaseModel):
        """How many."""

        cows: int = Field(ge=2, le=3)
        names: set[str] = Field(min_length=1, max_length=2)

    from llama_index.core.prompts import PromptTemplate

    found = llm.structured_predict(Counted, PromptTemplate("How many cows?"))
    assert 2 <= found.cows <= 3


def test_images_are_given_once(scripted, scene_file):
    with pytest.raises(errors.RequestError, match="images once"):
        scripted.complete("Hi", [scene_file], image_documents=[scene_file])


def test_formatted_is_no_image(scripted, engine):
    scripted.complete("Hi", True)
    assert engine.requests[0].images == ()


def test_both_frameworks_share_one_model():
    from memvr_integrations.langchain import ChatMemVR

    ours, theirs = MemVRMultiModalLLM(device="cpu"), ChatMemVR(device="cpu")
    assert ours._engine({}) is theirs._engine({})
    ours.unload()
    assert not theirs._engine({}).closed
    theirs.unload()


def test_a_decoding_strategy_reaches_the_engine(scripted, engine):
    llm = MemVRMultiModalLLM(model="scripted", engine=engine, decoding="vcd")
    llm.complete("Hi")
    llm.complete("Hi", decoding={"name": "dola", "layers": [2, 4]})
    assert [request.decoding for request in engine.requests] == [
        VCDConfig(),
        DoLaConfig(layers=(2, 4)),
    ]
    with pytest.raises(ValueError, match="Did you mean 'vcd'"):
        MemVRMultiModalLLM(decoding="vdc")


def test_a_strategy_survives_being_written():
    llm = MemVRMultiModalLLM(decoding=DoLaConfig(layers=(2, 4)))
    assert MemVRMultiModalLLM.from_json(llm.to_json()).decoding == llm.decoding
