"""ChatMemVR's options: typos and limits, and what of them reaches the engine."""

import PIL.Image
import pytest
from bundled_settings import ALWAYS
from langchain_core import exceptions
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from pydantic import ValidationError
from scripted_engine import ScriptedEngine

from memvr_integrations import errors
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.types.decoding import ICDConfig, VCDConfig
from memvr_integrations.types.image_policy import ImagePolicy


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def scripted(engine):
    return ChatMemVR(model="scripted", engine=engine)


@pytest.mark.parametrize("name", sorted(set(ChatMemVR.model_fields) - {"n", "name", "tags"}))
def test_a_typo_in_any_option_is_refused(name):
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
        {"image_policy": {"allowed_hosts": ["https://example.org"]}},
    ],
)
def test_values_outside_their_limits_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)) + "|host"):
        ChatMemVR(**wrong)


def test_a_typo_in_a_call_is_refused(scripted):
    with pytest.raises(errors.ConfigError, match=r"'temprature'.*Did you mean 'temperature'"):
        scripted.invoke("Hi", temprature=1)


def test_a_note_of_another_framework_is_no_option():
    with pytest.raises(ValidationError, match="ChatMemVR has no option 'class_name'"):
        ChatMemVR(class_name="x")


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
        image_policy=ImagePolicy(allowed_hosts=["img.example.org"]),
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
    assert second.memvr == {"retracing_ratio": 0.5}


def test_one_stop_is_no_list_of_letters(engine):
    ChatMemVR(model="scripted", engine=engine, stop="tree").invoke("Hi")
    model = ChatMemVR(model="scripted", engine=engine)
    model.invoke("Hi", stop="tree")
    model.bind(stop="tree").invoke("Hi")
    assert [request.sampling.stop for request in engine.requests] == [("tree",)] * 3
    for wrong in (3, [3], {"a": 1}.items()):
        with pytest.raises(errors.RequestError, match="stop="):
            model.invoke("Hi", stop=wrong)


@pytest.mark.parametrize(
    "wrong", [{"model": None}, {"model": 3}, {"model": ""}, {"logprobs": "x"}, {"stream_usage": 1}]
)
def test_wrong_values_of_a_call_are_refused(scripted, wrong):
    with pytest.raises(errors.RequestError, match=next(iter(wrong))):
        scripted.invoke("Hi", **wrong)


def test_capital_letters_are_no_riddle():
    with pytest.raises(ValueError, match=r"'MAX_TOKENS'.*Did you mean 'max_tokens'"):
        ChatMemVR(MAX_TOKENS=3)


def test_which_pictures_may_come_in_can_be_changed(engine):
    model = ChatMemVR(model="scripted", engine=engine, image_policy={"allowed_hosts": ["*"]})
    assert model.profile["image_url_inputs"]
    model.invoke("Hi")
    model.image_policy = {"allowed_hosts": ["img.example.org"]}
    model.invoke("Hi")
    hosts = [request.image_policy.allowed_hosts for request in engine.requests]
    assert hosts == [("*",), ("img.example.org",)]
    model.image_policy = "img.example.org"
    with pytest.raises(errors.ConfigError, match=r"image_policy='img\.example\.org' must be None"):
        model.invoke("Hi")


def test_an_engine_keeps_its_own_limits_for_pictures(engine, tmp_path, scenes):
    engine.image_policy = ImagePolicy(image_dirs=(tmp_path,))
    PIL.Image.fromarray(scenes[0].pixels).save(tmp_path / "scene.png")
    block = {"type": "image", "url": (tmp_path / "scene.png").as_uri()}
    model = ChatMemVR(model="scripted", engine=engine)
    model.invoke([HumanMessage([block])])
    list(model.stream([HumanMessage([block])]))
    assert {request.image_policy for request in engine.requests} == {None}  # the engine's
    hosts = ImagePolicy(allowed_hosts=["*"])
    strict = ChatMemVR(model="scripted", engine=engine, image_policy=hosts, cache=InMemoryCache())
    with pytest.raises(errors.ImageError, match="image_dirs"):
        strict.invoke([HumanMessage([block])])
    # Without a cache that has to see its pixels, the picture is left to the engine.
    strict.model_copy(update={"cache": None}).invoke([HumanMessage([block])])
    assert engine.requests[-1].images[0].source == block["url"]
    assert engine.requests[-1].image_policy == hosts


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"timeout": -1}, "timeout=-1"),
        ({"device": "gpu"}, "gpu"),
        ({"image_policy": True}, "image_policy=True must be None"),
        ({"image_policy": {"allowed_hosts": "img.example.org"}}, "must be a list"),
        ({"image_policy": {"image_dirs": [""]}}, "must be a list"),
        ({"image_policy": {"image_dirs": ["no-such-folder"]}}, "which is no folder"),
        ({"image_policy": {"image_dir": []}}, "Did you mean 'image_dirs'"),
        ({"model": ""}, "names none"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": True}, "temperature"),
        ({"engine": 3}, "is no engine"),
    ],
)
def test_what_could_never_work_is_refused_at_once(wrong, match):
    with pytest.raises(ValueError, match=match):
        ChatMemVR(**wrong)


def test_errors_before_a_call_have_both_names(scripted):
    for wrong in (
        lambda: scripted.bind_tools([3]),
        lambda: scripted.with_structured_output(dict, include_rw=True),
        lambda: scripted.invoke("Hi", abstain="much"),
        lambda: scripted.invoke("Hi", tools=[{}]),
    ):
        with pytest.raises(errors.MemVRError) as caught:
            wrong()
        assert isinstance(caught.value, exceptions.LangChainException)


def test_a_decoding_strategy_reaches_the_engine(scripted, engine):
    model = ChatMemVR(model="scripted", engine=engine, decoding="vcd")
    model.invoke("Hi")
    model.bind(decoding={"name": "icd", "alpha": 0.5}).invoke("Hi")
    model.invoke("Hi", decoding=None)
    asked = [request.decoding for request in engine.requests]
    assert asked == [VCDConfig(), ICDConfig(alpha=0.5), None]
    with pytest.raises(ValueError, match="Did you mean 'vcd'"):
        ChatMemVR(decoding="vdc")
    with pytest.raises(errors.ConfigError, match="alhpa"):
        scripted.invoke("Hi", decoding={"name": "vcd", "alhpa": 1})
