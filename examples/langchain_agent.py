"""LangChain: an agent with a tool that gives it a picture.

The model in the box was never trained to be an agent: left to itself it answers at once, and a
conversation with calls in it confuses it. So its first step here has to be a look, and its second
is asked as if the picture had come with the question. Nor does it fill in arguments well, so the
tool has none. A larger model needs no such help.

Beside the extra `langchain` it needs `pip install langchain`.
"""

from collections.abc import Callable
from pathlib import Path

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from memvr_integrations.langchain import ChatMemVR, image_block

KITCHEN = Path(__file__).parent / "images" / "kitchen.png"


def look() -> list[object]:
    """Gives the picture that the camera in the kitchen sees now."""
    return [image_block(KITCHEN)]


@wrap_model_call
def look_first(
    request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]
) -> ModelResponse:
    *_, last = request.messages
    if not isinstance(last, ToolMessage):
        return handler(request.override(tool_choice="look"))
    question = request.messages[0]
    shown = HumanMessage([*last.content, *question.content_blocks])
    return handler(request.override(messages=[shown], tools=[]))


agent = create_agent(ChatMemVR(model="bundled"), [look], middleware=[look_first])
question = HumanMessage("How many forks are there in the kitchen?")
for message in agent.invoke({"messages": [question]})["messages"]:
    said = message.tool_calls if isinstance(message, AIMessage) and message.tool_calls else None
    print(f"{message.type}: {said or message.text or '(a picture)'}")
print("truth: one fork")
