"""Tools in LlamaIndex's form, and the calls in its responses."""

from typing import Any

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json
from llama_index.core.tools.types import BaseTool

from memvr_integrations.errors import RequestError
from memvr_integrations.wire.classes import schema_of_class


def openai_tool(tool: BaseTool) -> dict[str, Any]:
    """A tool in OpenAI's form."""
    if not isinstance(tool, BaseTool):
        raise RequestError(
            f"tools holds a {type(tool).__name__}, {str(tool)[:200]!r}; give LlamaIndex tools: "
            "FunctionTool.from_defaults(function)."
        )
    form = tool.metadata.to_openai_tool(skip_length_check=True)
    if tool.metadata.fn_schema is not None:
        form["function"]["parameters"] = schema_of_class(tool.metadata.fn_schema)
    return form


def selections(response: ChatResponse) -> list[ToolSelection]:
    """The calls in a response; those of a stream as far as they are written."""
    return [
        ToolSelection(
            tool_id=block.tool_call_id or "",
            tool_name=block.tool_name,
            tool_kwargs=_arguments(block.tool_kwargs),
        )
        for block in response.message.blocks
        if isinstance(block, ToolCallBlock)
    ]


def _arguments(written: dict[str, Any] | str) -> dict[str, Any]:
    if not isinstance(written, str):
        return written
    try:
        return parse_partial_json(written) if written else {}
    except ValueError:  # cut where nothing can be made of it yet
        return {}
