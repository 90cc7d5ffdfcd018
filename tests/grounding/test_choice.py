import math

import pytest
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.choice import ashares, shares
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
