"""LangGraph: where the model was unsure, ask again with stronger retracing, and compare.

Beside the extra `langchain` it needs `pip install langgraph`.
"""

from pathlib import Path
from typing import Annotated

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from memvr_integrations.langchain import ChatMemVR, image_block
from memvr_integrations.memvr import MemVRConfig

SHEEP = Path(__file__).parent / "images" / "three-sheep.png"
STRONGER = MemVRConfig(starting_layer=1, ending_layer=8, entropy_threshold=0.2, retracing_ratio=0.4)

model = ChatMemVR(model="bundled")


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def answer(state: State) -> State:
    return {"messages": [model.invoke(state["messages"])]}


def look_harder(state: State) -> State:
    question = state["messages"][:1]
    return {"messages": [model.invoke(question, memvr=STRONGER)]}


def is_unsure(state: State) -> bool:
    return state["messages"][-1].response_metadata["memvr"]["max_output_entropy"] > 0.2


graph = StateGraph(State)
graph.add_node("answer", answer)
graph.add_node("look_harder", look_harder)
graph.add_edge(START, "answer")
graph.add_conditional_edges("answer", is_unsure, {True: "look_harder", False: END})
graph.add_edge("look_harder", END)

question = HumanMessage([image_block(SHEEP), "How many sheep are there?"])
for message in graph.compile().invoke({"messages": [question]})["messages"][1:]:
    record = message.response_metadata["memvr"]
    print(
        f"{message.text} (retraced at {record['retraced_tokens']} tokens, "
        f"unsure: {record['max_output_entropy']:.2f})"
    )
print("truth: three sheep")
