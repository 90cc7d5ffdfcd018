"""What both integrations are given means the same in both."""

import json

import pytest
from pydantic import ValidationError
from scripted_engine import ScriptedEngine

from memvr_integrations.backend.serving.registry import Leases
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.types import SamplingParams
from memvr_integrations.types.decoding import VCDConfig
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.wire.options import ModelOptions

BOTH = pytest.mark.parametrize("kind", [ChatMemVR, MemVRMultiModalLLM])


def ask(model, /, **options):
    if isinstance(model, ChatMemVR):
        return model.invoke("Hi", **options)
    return model.complete("Hi", **options)


@BOTH
def test_every_option_has_one_default(kind):
    for name, field in ModelOptions.model_fields.items():
        assert kind.model_fields[name].default == field.default, name
        assert kind.model_fields[name].annotation == field.annotation, name


@BOTH
def test_options_of_a_call_come_before_those_of_the_object(kind):
    engine = ScriptedEngine()
    model = kind(model="a", engine=engine, temperature=0.5, stop="x", decoding="vcd", timeout=9)
    ask(model)
    ask(model, temperature=0.0, decoding=None, memvr=None)
    first, second = engine.requests
    assert (first.sampling.temperature, first.sampling.stop) == (0.5, ("x",))
    assert (first.decoding, first.timeout, first.memvr) == (VCDConfig(), 9, True)
    assert (second.sampling.temperature, second.sampling.stop) == (0.0, ("x",))
    assert (second.decoding, second.timeout, second.memvr) == (None, 9, None)


@BOTH
def test_options_of_sampling_reach_the_engine_from_the_object_and_from_a_call(kind):
    engine = ScriptedEngine()
    given = {
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "logit_bias": {7: -100},
        "min_tokens": 3,
        "stop_token_ids": [5, 6],
        "top_logprobs": 4,
    }
    ask(kind(model="a", engine=engine, **given))
    ask(kind(model="a", engine=engine), **given | {"logit_bias": {"7": -100}})
    ask(kind(model="a", engine=engine, **given), logit_bias=None, top_logprobs=0)
    first, second, third = (request.sampling for request in engine.requests)
    expected = SamplingParams(**given)
    assert first == second == expected
    assert (third.logit_bias, third.top_logprobs, third.min_tokens) == (None, 0, 3)


@BOTH
def test_a_bias_survives_being_written(kind):
    model = kind(model="a", logit_bias={"7": -100, 9: 2})
    written = json.loads(model.model_dump_json(include={"model", "logit_bias"}))
    assert kind(**written).logit_bias == model.logit_bias == {7: -100.0, 9: 2.0}


@BOTH
def test_likely_tokens_need_logprobs(kind):
    model = kind(model="a", engine=ScriptedEngine(), top_logprobs=2)
    with pytest.raises(RequestError, match=r"top_logprobs=2 needs logprobs=True; set that, or"):
        ask(model, logprobs=False)
    ask(model, logprobs=False, top_logprobs=0)
    with pytest.raises(ConfigError, match="top_logprobs=True must be an integer"):
        ask(model, top_logprobs=True)


@BOTH
def test_which_pictures_may_come_in_is_the_engines_unless_said(kind):
    engine = ScriptedEngine()
    engine.image_policy = ImagePolicy(max_bytes=9)
    assert kind(model="a", engine=engine)._policy() == engine.image_policy
    assert kind(model="bundled")._policy() == ImagePolicy()
    own = kind(model="a", engine=engine, image_policy={"max_bytes": 7})
    ask(own)
    assert engine.requests[0].image_policy == own._policy() == ImagePolicy(max_bytes=7)


@BOTH
@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"model": ""}, "names none"),
        ({"engine": 3}, "engine=3 is no engine"),
        ({"image_policy": True}, "image_policy=True must be None"),
        ({"image_policy": {"max_byte": 1}}, "Did you mean 'max_bytes'"),
        ({"stop": 3}, "stop=3 must be a text or a list"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"top_logprobs": 21}, "top_logprobs=21 must be an integer from 0 to 20"),
        ({"top_logprobs": 2, "logprobs": False}, "top_logprobs=2 needs logprobs=True"),
        ({"presence_penalty": 3.0}, "presence_penalty=3.0 must be a finite number from -2 to 2"),
        ({"frequency_penalty": -3.0}, "frequency_penalty=-3.0 must be"),
        ({"logit_bias": {"dog": 1}}, "A token of logit_bias='dog' must be an integer"),
        ({"logit_bias": {5: 200}}, r"logit_bias\[5\]=200 must be"),
        ({"min_tokens": 300}, "min_tokens=300 is above max_tokens=256"),
        ({"stop_token_ids": [-2]}, "A token of stop_token_ids=-2 must be"),
        ({"dtype": "int4"}, "int4"),
        ({"allow_image_urls": True}, "no option 'allow_image_urls'"),
    ],
)
def test_wrong_options_are_refused_alike(kind, wrong, match):
    with pytest.raises(ValidationError, match=match):
        kind(**wrong)


@BOTH
def test_wrong_options_of_a_call_are_refused_alike(kind):
    model = kind(model="a", engine=ScriptedEngine())
    with pytest.raises(ConfigError, match=f"A call of {kind.__name__} has no option 'temprature'"):
        ask(model, temprature=1)
    with pytest.raises(RequestError, match="logprobs='yes' must be True or False"):
        ask(model, logprobs="yes")
    with pytest.raises(RequestError, match="model='' must be a catalog name"):
        ask(model, model="")


@BOTH
async def test_a_stream_that_is_refused_asks_for_no_engine(kind, monkeypatch):
    def loads(*args):
        raise AssertionError("it would load the model")

    monkeypatch.setattr(Leases, "get", loads)
    monkeypatch.setattr(Leases, "aget", loads)
    model = kind(n=2)

    async def astream():
        if kind is ChatMemVR:
            return [chunk async for chunk in model.astream("Hi")]
        return [chunk async for chunk in await model.astream_complete("Hi")]

    stream = model.stream if kind is ChatMemVR else model.stream_complete
    with pytest.raises(RequestError, match="n=2 answers can't be streamed"):
        list(stream("Hi"))
    with pytest.raises(RequestError, match="n=2 answers can't be streamed"):
        await astream()
