"""`ChatMemVR.explain`: the answer of `invoke`, with maps."""

import pytest
from langchain_core.messages import HumanMessage
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import ConfigError, UnsupportedModelError
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
