"""`ChatMemVR.explain`: the answer of `invoke`, with maps."""

import functools
import json
import operator

import pytest
from langchain_core.messages import AIMessage, HumanMessage, messages_from_dict, messages_to_dict
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import ConfigError, RequestError, UnsupportedModelError
from memvr_integrations.explain import ExplainConfig
from memvr_integrations.langchain import ChatMemVR, image_block

QUICK = ExplainConfig(second=False, compare=False)


@pytest.fixture
def asked(scene_file):
    return [HumanMessage([image_block(scene_file), "Is there a dog in the picture?"])]


@pytest.fixture
def model(backend):
    return ChatMemVR(engine=backend, max_tokens=3)


async def test_the_answer_is_that_of_invoke(model, asked):
    said = model.invoke(asked).content
    explanation = model.explain(asked, config=QUICK)
    assert explanation.answer == said
    assert explanation.map().shape == (8, 8)
    assert (await model.aexplain(asked, config=QUICK)).answer == said


@pytest.fixture
def refused_to_generate(monkeypatch, backend):
    def refuse(*asked):
        pytest.fail("it was asked anew")

    monkeypatch.setattr(backend, "generate", refuse)
    monkeypatch.setattr(backend, "agenerate", refuse)


async def test_a_given_answer_is_explained_as_it_is(model, asked, request):
    sampled = model.bind(temperature=1.5, seed=3)
    answer = sampled.invoke(asked)
    assert answer.response_metadata["memvr"]["explain"] == "explain(messages, answer=answer)"
    [*pieces] = sampled.stream(asked)
    streamed = functools.reduce(operator.add, pieces)
    written = messages_from_dict(json.loads(json.dumps(messages_to_dict([answer]))))[0]
    request.getfixturevalue("refused_to_generate")
    explained = sampled.explain(asked, answer, config=QUICK)
    assert explained.answer == answer.text
    content = answer.response_metadata["logprobs"]["content"]
    assert [one.logprob for one in explained.tokens] == [one["logprob"] for one in content]
    assert [dict(one.entropies) for one in explained.tokens] == [
        {int(layer): value for layer, value in one["entropies"].items()} for one in content
    ]
    for same in (streamed, written):
        again = model.explain(asked, answer=same, config=QUICK)
        assert again.map().tolist() == explained.map().tolist()
    assert (await sampled.aexplain(asked, answer, config=QUICK)).answer == answer.text


def test_it_is_the_same_as_the_engines_own(model, backend, asked):
    answer = model.invoke(asked)
    request = model._explained(asked, {})
    own = backend.explain(request, backend.generate(request)[0], config=QUICK)
    assert model.explain(asked, answer, config=QUICK).to_dict() == own.to_dict()


def test_an_answer_to_something_else_is_refused(model, asked):
    answer = model.invoke(asked)
    with pytest.raises(RequestError, match=r"a prompt of \d+ tokens.*not itself"):
        model.explain([*asked, answer], answer)
    other = answer.model_copy(
        update={"response_metadata": answer.response_metadata | {"model_name": "another"}}
    )
    with pytest.raises(RequestError, match="given by 'another'"):
        model.explain(asked, other)
    with pytest.raises(RequestError, match="no record"):
        model.explain(asked, AIMessage("Yes"))
    silent = model.invoke(asked, logprobs=False)
    assert silent.response_metadata["memvr"]["explain"] is None
    with pytest.raises(RequestError, match="logprobs=False"):
        model.explain(asked, silent)


def test_what_was_withheld_is_explained(model, asked):
    withheld = model.invoke(asked, abstain=0.0)
    said = withheld.response_metadata["memvr"]["withheld"]
    assert said
    assert model.explain(asked, withheld, config=QUICK).answer == said


def test_options_are_kept(model, asked):
    plain = model.bind(memvr=None, max_tokens=1).explain(asked, config=QUICK)
    assert plain.ratio is None
    assert len(plain.tokens) == 1
    assert model.explain(asked, config=QUICK, max_tokens=2).ratio is not None


def test_what_cannot_be_explained_is_refused(model, asked):
    with pytest.raises(ConfigError, match="no image"):
        model.explain("Hello?")
    other = ChatMemVR(engine=ScriptedEngine(lambda request: "Yes"))
    with pytest.raises(UnsupportedModelError, match="can't explain answers"):
        other.explain(asked)
