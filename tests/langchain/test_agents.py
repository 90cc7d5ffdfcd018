"""Agents and graphs on ChatMemVR."""

from typing import Annotated

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel
from scripted_engine import ScriptedEngine
from typing_extensions import TypedDict

from memvr_integrations.langchain import ChatMemVR, image_block
from memvr_integrations.types import Image


class Answer(BaseModel):
    """What was found."""

    thing: str
    count: int


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def model(engine):
    return ChatMemVR(model="scripted", engine=engine)


@pytest.fixture
def look(scenes):
    def zoom(x: int, y: int) -> list:
        """Shows a part of the picture, larger."""
        return [{"type": "text", "text": f"at {x}, {y}"}, dict(image_block(scenes[0].pixels))]

    return zoom


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_agent_looks_and_answers(model, engine, look, asynchronous):
    agent = create_agent(model, [look])
    asked = {"messages": [HumanMessage("What is at 3 and 4?")]}
    state = await agent.ainvoke(asked) if asynchronous else agent.invoke(asked)
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert state["messages"][1].tool_calls[0]["args"] == {"x": 3, "y": 4}
    assert "at 3, 4" in state["messages"][-1].text
    assert isinstance(engine.requests[-1].images[0], Image)


def test_an_agents_steps_can_be_streamed(model, look):
    agent = create_agent(model, [look])
    asked = {"messages": [HumanMessage("What is at 3 and 4?")]}
    steps = [list(step) for step in agent.stream(asked, stream_mode="updates")]
    assert steps == [["model"], ["tools"], ["model"]]
    tokens = [token for token, _ in agent.stream(asked, stream_mode="messages")]
    assert len(tokens) > 5


@pytest.mark.parametrize("form", [ProviderStrategy(Answer), Answer])
def test_an_agent_answers_in_a_form(model, engine, look, form):
    agent = create_agent(model, [look], response_format=form)
    state = agent.invoke({"messages": [HumanMessage("What is at 3 and 4, 'cow'?")]})
    assert isinstance(state["structured_response"], Answer)
    assert engine.requests[-1].response_format is not None
    assert engine.requests[-1].tools


def test_an_agent_on_the_bundled_model_answers_in_a_form(backend, scenes):
    agent = create_agent(ChatMemVR(engine=backend, max_tokens=80), [], response_format=Answer)
    picture = HumanMessage([image_block(scenes[0].pixels), "What is there?"])
    assert isinstance(agent.invoke({"messages": [picture]})["structured_response"], Answer)


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def test_a_graph_runs_it(model):
    async def answer(state: State) -> State:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(State)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    state = await graph.compile().ainvoke({"messages": [HumanMessage("Hi")]})
    assert state["messages"][-1].text == "This is what the script says."


def test_a_failing_tool_is_told(model, look):
    failed = ToolMessage("No such part.", tool_call_id="call_1", status="error")
    call = model.bind_tools([look]).invoke("What is at 3 and 4?")
    answer = model.bind_tools([look]).invoke([HumanMessage("What is at 3 and 4?"), call, failed])
    assert "error: No such part." in answer.text
