"""Tools in LlamaIndex's form: the model is offered them, and calls them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json
from llama_index.core.tools.types import BaseTool

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.base import AnsweringLLM
from memvr_integrations.wire.classes import schema_of_class


class CallingLLM(AnsweringLLM):
    """`chat_with_tools`, `predict_and_call` and what their answers hold."""

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if isinstance(user_msg, str):
            user_msg = ChatMessage(role="user", content=user_msg)
        return {
            "messages": [*(chat_history or ()), *([user_msg] if user_msg else ())],
            "tools": [_openai_tool(tool) for tool in tools],
            "tool_choice": _choice(tool_choice) or ("required" if tool_required else "auto"),
            "parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    def predict_and_call(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """Let the model choose a tool, and run it; where none would be an error, it has to."""
        kwargs.setdefault("tool_required", error_on_no_tool_call)
        return super().predict_and_call(
            tools,
            user_msg,
            chat_history,
            verbose,
            allow_parallel_tool_calls,
            error_on_no_tool_call,
            error_on_tool_error,
            **kwargs,
        )

    async def apredict_and_call(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        error_on_no_tool_call: bool = True,
        error_on_tool_error: bool = False,
        **kwargs: Any,
    ) -> AgentChatResponse:
        """`predict_and_call` for asyncio."""
        kwargs.setdefault("tool_required", error_on_no_tool_call)
        return await super().apredict_and_call(
            tools,
            user_msg,
            chat_history,
            verbose,
            allow_parallel_tool_calls,
            error_on_no_tool_call,
            error_on_tool_error,
            **kwargs,
        )

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The calls in a response; those of a stream as far as they are written.

        Raises:
            RequestError: There is none, and `error_on_no_tool_call` is set.
        """
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if not calls and error_on_no_tool_call:
            raise RequestError(
                f"The model called no tool, it said {response.message.content!r}; ask with "
                "tool_required=True, or with error_on_no_tool_call=False."
            )
        return [
            ToolSelection(
                tool_id=call.tool_call_id or "",
                tool_name=call.tool_name,
                tool_kwargs=_arguments(call.tool_kwargs),
            )
            for call in calls
        ]


def _choice(given: str | Mapping[str, Any] | None) -> str | None:
    """A tool's name, also in OpenAI's form, or a word of the backend's."""
    if not isinstance(given, Mapping):
        return given
    inner = given.get("function", given)
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(name, str):
        raise RequestError(f"tool_choice={given!r} names no tool; give the name of one.")
    return name


def _openai_tool(tool: BaseTool) -> dict[str, Any]:
    if not isinstance(tool, BaseTool):
        raise RequestError(
            f"tools holds a {type(tool).__name__}, {str(tool)[:200]!r}; give LlamaIndex tools: "
            "FunctionTool.from_defaults(function)."
        )
    form = tool.metadata.to_openai_tool(skip_length_check=True)
    if tool.metadata.fn_schema is not None:
        form["function"]["parameters"] = schema_of_class(tool.metadata.fn_schema)
    return form


def _arguments(written: dict[str, Any] | str) -> dict[str, Any]:
    if not isinstance(written, str):
        return written
    try:
        whole: dict[str, Any] = json.loads(written)
    except ValueError:
        try:
            whole = parse_partial_json(written) if written else {}
        except ValueError:  # cut where nothing can be made of it yet
            whole = {}
    return whole
