"""The tool that asks about a picture, alone and in an agent's hands."""

import json

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import ConfigError, RequestTimeoutError, UnsupportedModelError
from memvr_integrations.explain import ExplainConfig, Explanation
from memvr_integrations.langchain import ChatMemVR, image_block, picture_tool

QUICK = ExplainConfig(second=False, compare=False)
QUESTION = "Is there a dog in the picture?"


@pytest.fixture
def model(backend):
    return ChatMemVR(engine=backend, max_tokens=3)


@pytest.fixture
def tool(model, scene_file):
    return picture_tool(model, {"scene": scene_file}, config=QUICK)


def call(**args):
    return {"type": "tool_call", "id": "1", "name": "ask_picture", "args": args}


async def test_content_is_words_and_the_artifact_the_page(tool, model, scene_file):
    own = model.explain([HumanMessage([image_block(scene_file), QUESTION])], config=QUICK)
    said = tool.invoke(call(picture="scene", question=QUESTION))
    assert said.status == "success"
    assert said.content == own.to_text().replace("Picture 1:", "scene:")
    assert said.artifact["images"][0]["name"] == "scene"
    assert said.artifact["answer"] == own.answer
    assert said.artifact.pop("html").startswith("<!doctype html>")
    assert json.loads(json.dumps(said.artifact)) == said.artifact
    again = await tool.ainvoke(call(picture="scene", question=QUESTION))
    assert again.content == said.content


def test_the_explanation_itself_where_it_is_wanted(model, scene_file):
    tool = picture_tool(
        model.bind(memvr=None), {"a": scene_file}, config=QUICK, artifact="explanation"
    )
    artifact = tool.invoke(call(picture="a", question=QUESTION)).artifact
    assert isinstance(artifact, Explanation)
    assert artifact.names == ("a",)
    assert artifact.ratio is None  # bound options are kept


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"picture": "seen", "question": "?"}, "no picture 'seen'. Did you mean 'scene'?"),
        ({"picture": "scene"}, "question: Field required"),
        ({"picture": "gone", "question": "?"}, "gone.png"),
    ],
)
async def test_what_another_call_may_mend_goes_to_the_agent(model, scene_file, args, said):
    pictures = {"scene": scene_file, "gone": scene_file.with_name("gone.png")}
    tool = picture_tool(model, pictures)
    for message in (tool.invoke(call(**args)), await tool.ainvoke(call(**args))):
        assert message.status == "error"
        assert said in message.content
        assert message.artifact is None


def test_a_time_out_goes_to_the_agent(tool, backend, monkeypatch):
    def late(*asked, **options):
        raise RequestTimeoutError("It took too long; ask again.")

    monkeypatch.setattr(backend, "explain", late)
    message = tool.invoke(call(picture="scene", question=QUESTION))
    assert (message.status, message.content) == ("error", "It took too long; ask again.")


def test_what_no_call_can_mend_is_raised(scene_file):
    tool = picture_tool(ChatMemVR(engine=ScriptedEngine()), {"scene": scene_file})
    with pytest.raises(UnsupportedModelError, match="can't explain answers"):
        tool.invoke(call(picture="scene", question=QUESTION))


def test_what_can_be_no_tool_is_refused(model, scene_file):
    with pytest.raises(ConfigError, match="images is empty"):
        picture_tool(model, {})
    with pytest.raises(ConfigError, match="artifact='page' must be one of"):
        picture_tool(model, {"scene": scene_file}, artifact="page")
    with pytest.raises(ConfigError, match="give a ChatMemVR"):
        picture_tool("bundled", {"scene": scene_file})


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_agent_asks_and_its_state_can_be_kept(tool, asynchronous):
    engine = ScriptedEngine()
    agent = create_agent(ChatMemVR(engine=engine), [tool], checkpointer=InMemorySaver())
    asked = {"messages": [HumanMessage("Look it up: 'scene', 'Is there a dog?'")]}
    thread = {"configurable": {"thread_id": "1"}}
    state = await agent.ainvoke(asked, thread) if asynchronous else agent.invoke(asked, thread)
    assert [one.type for one in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert engine.requests[0].tools[0].name == "ask_picture"
    seen = state["messages"][2]
    assert seen.status == "success"
    assert seen.content in state["messages"][-1].text
    assert "<!doctype" not in state["messages"][-1].text
    kept = agent.get_state(thread).values["messages"][2]
    assert kept.artifact == seen.artifact
    assert kept.artifact["html"]
