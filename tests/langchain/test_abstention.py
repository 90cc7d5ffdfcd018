import pickle
from dataclasses import replace

import pytest
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding import CANNOT_TELL, Abstaining
from memvr_integrations.langchain import AbstentionError, ChatMemVR
from memvr_integrations.memvr import MemVRConfig

ZOOM = {
    "name": "zoom",
    "description": "Zooms.",
    "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
}


def model(abstain=None, script=lambda request: "Yes, a cow."):
    return ChatMemVR(model="scripted", engine=ScriptedEngine(script), abstain=abstain)


def test_a_sure_answer_is_given():
    answer = model(0.5).invoke("Is there a cow?")
    assert answer.content == "Yes, a cow."
    record = answer.response_metadata["memvr"]
    assert (record["abstained"], record["withheld"]) == (False, None)
    assert record["withheld_tool_calls"] == []
    assert answer.response_metadata["memvr"]["unsureness"] == 0.2


async def test_an_unsure_answer_is_withheld_and_recorded():
    abstaining = model(0.1)
    for answer in (abstaining.invoke("Is there?"), await abstaining.ainvoke("Is there?")):
        assert answer.content == CANNOT_TELL
        record = answer.response_metadata["memvr"]
        assert (record["abstained"], record["withheld"]) == (True, "Yes, a cow.")
        assert record["threshold"] == 0.1
    assert model(Abstaining(threshold=0.1, answer="Pass.")).invoke("?").content == "Pass."


async def test_an_unsure_answer_may_be_an_error():
    abstaining = model({"threshold": 0.1, "action": "raise"})
    with pytest.raises(
        AbstentionError, match=r"unsure of its answer 'Yes, a cow.': 0.20"
    ) as raised:
        abstaining.invoke("Is there?")
    assert raised.value.withheld == raised.value.response.text == "Yes, a cow."
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again)) == (type(raised.value), str(raised.value))
    assert again.response == raised.value.response
    with pytest.raises(AbstentionError):
        await abstaining.ainvoke("Is there?")


USED = MemVRConfig(retracing_ratio=0.2)


def retraced(abstain):
    """A scripted model whose answers say that MemVR was on."""
    engine = ScriptedEngine(lambda request: "Yes, a cow.")
    plain = engine._completion
    engine._completion = lambda request: replace(plain(request), memvr=USED)
    return ChatMemVR(model="scripted", engine=engine, abstain=abstain)


@pytest.mark.parametrize("stronger", [None, MemVRConfig(retracing_ratio=0.9)])
async def test_an_unsure_answer_may_be_asked_again(stronger):
    one = retraced(Abstaining(threshold=0.1, action="retry", stronger=stronger))
    answer = one.invoke("?")
    assert (answer.content, answer.response_metadata["memvr"]["retried"]) == (CANNOT_TELL, True)
    await one.ainvoke("?")
    first, second, *_ = one.engine.requests
    assert first.memvr is True
    assert second.memvr == (stronger or replace(USED, entropy_threshold=0.375, retracing_ratio=0.4))
    assert len(one.engine.requests) == 4


def test_where_nothing_was_retraced_there_is_no_second_try():
    one = model(Abstaining(threshold=0.1, action="retry"))
    answer = one.invoke("?")
    assert answer.content == CANNOT_TELL
    assert len(one.engine.requests) == 1


def test_it_can_stand_in_a_chain():
    chain = model(0.1) | (lambda answer: answer.content)
    assert chain.batch(["?", "?"]) == [CANNOT_TELL] * 2


def test_a_threshold_is_needed_and_has_limits():
    with pytest.raises(ConfigError, match="No threshold was measured for 'scripted'"):
        model(True).invoke("?")
    with pytest.raises(ValueError, match="threshold=2"):
        model(2)
    with pytest.raises(ValueError, match="action='ask' must be one of"):
        model({"threshold": 0.5, "action": "ask"})
    with pytest.raises(ValueError, match="abstain='much' must be True"):
        model("much")
    with pytest.raises(ValueError, match="has no option 'treshold'"):
        model({"treshold": 0.5})
    with pytest.raises(ConfigError, match="abstain='much' must be True"):
        model().invoke("?", abstain="much")


def test_a_call_that_is_withheld_is_kept_in_the_record(backend):
    bound = ChatMemVR(engine=backend, max_tokens=60).bind_tools([ZOOM], tool_choice="zoom")
    given = bound.invoke("?")
    answer = bound.bind(abstain=0.0).invoke("?")
    assert (answer.tool_calls, answer.response_metadata["finish_reason"]) == ([], "stop")
    [withheld] = answer.response_metadata["memvr"]["withheld_tool_calls"]
    assert (withheld["name"], withheld["args"]) == ("zoom", given.tool_calls[0]["args"])
