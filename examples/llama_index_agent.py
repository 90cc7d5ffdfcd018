"""LlamaIndex: an agent that looks things up in a collection of images.

The bundled model was hardly trained for tools: it is made to begin with one, whose answer, with
its citation, is the agent's own (`return_direct`). A larger model needs neither.
"""

import asyncio
from pathlib import Path

from llama_index.core.agent import FunctionAgent
from llama_index.core.tools import QueryEngineTool

from memvr_integrations.llama_index import ImageCollectionIndex

IMAGES = Path(__file__).parent / "images"


async def main() -> None:
    """Ask the agent one question."""
    index = await asyncio.to_thread(ImageCollectionIndex.from_folder, IMAGES, show_progress=False)
    gallery = QueryEngineTool.from_defaults(
        index.as_query_engine(),
        name="gallery",
        description="Answers questions about pictures.",
        return_direct=True,
    )
    agent = FunctionAgent(
        tools=[gallery], llm=index.llm, initial_tool_choice="gallery", streaming=False
    )
    result = await agent.run("How many sheep are there?")
    for call in result.tool_calls:
        print(f"called {call.tool_name} with {call.tool_kwargs}")
    print(result)


asyncio.run(main())
