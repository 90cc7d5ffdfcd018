import math

import pytest
from busy import Busy, at_once  # noqa: F401  # a fixture
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import ConfigError, QueueFullError, RequestError
from memvr_integrations.grounding.choice import ashares, shares
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.types import Request

ASKED = Request.ask("Is there a cow?")


async def test_a_probability_is_shared_out():
    engine = ScriptedEngine()
    engine.scores = {"Yes": math.log(0.3), "No": math.log(0.1), "Perhaps": -math.inf}
    for found in (shares(engine, ASKED), await ashares(engine, ASKED)):
        assert found == pytest.approx([0.75, 0.25])
    assert shares(engine, ASKED, ("Perhaps", "No", "Yes")) == pytest.approx([0, 0.25, 0.75])


def test_very_unlikely_answers_have_shares_too():
    engine = ScriptedEngine()
    engine.scores = {"Yes": -2000.0, "No": -2000.0}
    assert shares(engine, ASKED) == [0.5, 0.5]


@pytest.mark.parametrize("answers", ["Yes", ["Yes"], ()])
async def test_there_must_be_answers_to_choose_from(answers):
    engine = ScriptedEngine()
    with pytest.raises(RequestError, match="two or more different texts"):
        shares(engine, ASKED, answers)
    with pytest.raises(RequestError, match="two or more different texts"):
        await ashares(engine, ASKED, answers)
    assert not engine.requests


@pytest.mark.parametrize("logs", [(-math.inf, -math.inf), (math.nan, -1.0), (-1.0, math.nan)])
async def test_no_probability_can_not_be_shared_out(logs):
    engine = ScriptedEngine()
    engine.scores = dict(zip(("Yes", "No"), logs, strict=True))
    with pytest.raises(RequestError, match=r"none of answers=\['Yes', 'No'\] any probability"):
        shares(engine, ASKED)
    with pytest.raises(RequestError, match="any probability"):
        await ashares(engine, ASKED)


class FullTwice(ScriptedEngine):
    def __init__(self):
        super().__init__()
        self.busy = Busy(2)

    def score(self, request, answers, *, exclusive=True):
        self.busy()
        return super().score(request, answers, exclusive=exclusive)


@pytest.mark.usefixtures("at_once")
async def test_a_full_queue_is_waited_for():
    assert shares(FullTwice(), ASKED, retries=2) == [0.5, 0.5]
    assert await ashares(FullTwice(), ASKED, retries=2) == [0.5, 0.5]
    with pytest.raises(QueueFullError):
        shares(FullTwice(), ASKED)
    with pytest.raises(QueueFullError):
        await ashares(FullTwice(), ASKED)
    with pytest.raises(ConfigError, match="retries=-1"):
        shares(FullTwice(), ASKED, retries=-1)


@pytest.mark.usefixtures("at_once")
async def test_the_integrations_wait_as_often_as_their_models_do():
    def llm(retries):
        return MemVRMultiModalLLM(model="scripted", engine=FullTwice(), max_retries=retries)

    assert llm(2).probability("Is there?") == await llm(2).aprobability("Is there?") == 0.5
    with pytest.raises(QueueFullError):
        llm(0).probability("Is there?")
