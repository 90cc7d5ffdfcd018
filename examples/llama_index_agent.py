"""LlamaIndex: an agent that looks things up in a collection of images.

The bundled model was hardly trained for tools: it is made to begin with one, whose answer, with
its citation, is the agent's own (`return_direct`); and it fills in arguments badly, so the tool has
none. A larger model needs no such help.
"""

import asyncio
from pathlib import Path

from llama_index.core.agent import FunctionAgent
from llama_index.core.tools import FunctionTool

from memvr_integrations.llama_index import ImageCollectionIndex

IMAGES = Path(__file__).parent / "images"
QUESTION = "How many sheep are there?"


async def main() -> None:
    """Ask the agent one question."""
    index = await asyncio.to_thread(ImageCollectionIndex.from_folder, IMAGES, show_progress=False)
    engine = index.as_query_engine()

    async def gallery() -> str:
        """Looks the question up in the pictures."""
        return str(await engine.aquery(QUESTION))

    tool = FunctionTool.from_defaults(async_fn=gallery, return_direct=True)
    agent = FunctionAgent(
        tools=[tool], llm=index.llm, initial_tool_choice="gallery", streaming=False
    )
    result = await agent.run(QUESTION)
    for call in result.tool_calls:
        print(f"called {call.tool_name}")
    print(f"{result} (truth: three sheep)")


asyncio.run(main())
