"""LangChain: an agent with a tool that gives it a picture.

The model in the box was never trained for tools, so left to itself it answers at once. Here the
first step has to be a look; the picture comes back in the tool's message, and the model sees it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain_core.messages import AIMessage, HumanMessage

from memvr_integrations.langchain import ChatMemVR, image_block

IMAGES = Path(__file__).parent / "images"


def look(camera: Literal["kitchen", "farm"]) -> list[object]:
    """Gives the picture that a camera sees now."""
    return [image_block(IMAGES / f"{camera}.png")]


@wrap_model_call
def look_first(
    request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]
) -> ModelResponse:
    answered = any(isinstance(message, AIMessage) for message in request.messages)
    return handler(request.override(tool_choice="none" if answered else "look"))


agent = create_agent(ChatMemVR(model="bundled"), [look], middleware=[look_first])
question = HumanMessage("What do you see in the kitchen?")
for message in agent.invoke({"messages": [question]})["messages"]:
    said = message.tool_calls if isinstance(message, AIMessage) and message.tool_calls else None
    print(f"{message.type}: {said or message.text or '(a picture)'}")
