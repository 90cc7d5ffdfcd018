"""The tool that asks about a picture, alone and in an agent's hands."""

import pytest
from llama_index.core.agent import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import ImageDocument
from pydantic.warnings import PydanticDeprecationWarning
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.explain import ExplainConfig, Explanation
from memvr_integrations.llama_index import MemVRMultiModalLLM, picture_tool

QUICK = ExplainConfig(second=False, compare=False)
QUESTION = "Is there a dog in the picture?"


@pytest.fixture
def llm(backend):
    return MemVRMultiModalLLM(engine=backend, max_tokens=3)


@pytest.fixture
def tool(llm, scene_file):
    return picture_tool(llm, {"scene": scene_file}, config=QUICK)


async def test_content_is_words_and_the_output_the_explanation(tool, llm, scene_file):
    shown = [ImageDocument(image_path=str(scene_file))]
    own = llm.explain([ChatMessage(QUESTION)], shown, config=QUICK)
    said = tool.call(picture="scene", question=QUESTION)
    [name] = own.names
    assert said.content == own.to_text().replace(f"{name}:", "scene:")
    assert isinstance(said.raw_output, Explanation)
    assert said.raw_output.names == ("scene",)
    assert (await tool.acall(picture="scene", question=QUESTION)).content == said.content


def test_an_unknown_picture_lists_those_that_there_are(tool):
    with pytest.raises(RequestError, match=r"no picture 'farm'\. Ask about one of: scene"):
        tool.call(picture="farm", question=QUESTION)


def test_what_can_be_no_tool_is_refused(llm, scene_file):
    with pytest.raises(ConfigError, match="images is empty"):
        picture_tool(llm, {})
    with pytest.raises(ConfigError, match="give a MemVRMultiModalLLM"):
        picture_tool("bundled", {"scene": scene_file})


@pytest.mark.filterwarnings("ignore", category=PydanticDeprecationWarning)
async def test_an_agent_asks(tool):
    planner = MemVRMultiModalLLM(engine=ScriptedEngine(), model="scripted")
    agent = FunctionAgent(tools=[tool], llm=planner, streaming=False)
    result = await agent.run("Look it up: 'scene', 'Is there a dog?'")
    [asked] = result.tool_calls
    assert asked.tool_kwargs["picture"] == "scene"
    assert asked.tool_output.content in str(result)
