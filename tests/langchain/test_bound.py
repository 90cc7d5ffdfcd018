"""Options that are bound stay bound, whatever is made of the model."""

import warnings

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import HumanMessage
from langchain_core.runnables.base import RunnableBinding
from pydantic import BaseModel
from scripted_engine import ScriptedEngine

from memvr_integrations.langchain import ChatMemVR


class Place(BaseModel):
    """A place."""

    name: str


def look(part: str) -> str:
    """Shows a part of the picture."""
    return part


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def bound(engine):
    return ChatMemVR(model="scripted", engine=engine).bind(memvr=None).bind(max_tokens=7)


def kept(engine):
    [request] = engine.requests
    return request.memvr is None and request.sampling.max_tokens == 7


@pytest.mark.parametrize(
    "make",
    [
        lambda model: model,
        lambda model: model.bind_tools([look]),
        lambda model: model.with_structured_output(Place),
        lambda model: model.with_structured_output(Place, method="function_calling"),
        lambda model: model.bind(abstain=0.9),
        lambda model: model.with_config(tags=["a"]),
    ],
    ids=["alone", "tools", "json", "call", "abstention", "config"],
)
def test_what_is_made_of_it_keeps_its_options(bound, engine, make):
    make(bound).invoke("What is 'there'?")
    assert kept(engine)


def test_tools_stay_bound_under_abstention(engine):
    model = ChatMemVR(model="scripted", engine=engine).bind_tools([look], tool_choice="any")
    answer = model.bind(abstain=0.9).invoke("What is on the 'left'?")
    assert answer.tool_calls[0]["args"] == {"part": "left"}


class Counting(ScriptedEngine):
    """Keeps what it was asked to count."""

    def count(self, request):
        self.counted = request
        return super().count(request)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: model.bind_tools([look]),
        lambda model: model.bind_tools([look, Place], tool_choice="none"),
        lambda model: model.bind_tools([look, Place], tool_choice="look").bind(max_tokens=3),
        lambda model: model.bind_tools([look], response_format=Place),
        lambda model: model.bind(response_format={"type": "json_object"}, stop=["."]),
        lambda model: model.bind(tools=[look]).with_config(tags=["a"]),
        lambda model: model.with_structured_output(Place).first,
        lambda model: model.with_structured_output(Place, method="function_calling").first,
    ],
    ids=["tools", "none", "named", "tools or JSON", "JSON", "config", "structured", "call"],
)
def test_what_is_asked_is_what_is_counted(make):
    engine = Counting()
    model = make(ChatMemVR(model="scripted", engine=engine))
    model.get_num_tokens_from_messages([HumanMessage("What?")])
    counted = engine.counted
    model.invoke("What?")
    assert [counted] == engine.requests
    assert counted.tools or counted.response_format
    assert model.get_num_tokens_from_messages([]) == 0


def test_tools_that_are_given_to_count_stand_for_the_bound_ones():
    engine = Counting()
    bound = ChatMemVR(model="scripted", engine=engine).bind_tools([Place])
    bound.get_num_tokens_from_messages([HumanMessage("What?")], tools=[look])
    assert [tool.name for tool in engine.counted.tools] == ["look"]


def test_it_is_written_as_langchains_own():
    bound = ChatMemVR().bind(max_tokens=7)
    assert isinstance(bound, RunnableBinding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LangChain calls `loads` a beta
        again = loads(
            dumps(bound),
            allowed_objects=[ChatMemVR, RunnableBinding],
            valid_namespaces=["memvr_integrations"],
        )
    assert again.kwargs == {"max_tokens": 7}
    assert again.bound == bound.bound
