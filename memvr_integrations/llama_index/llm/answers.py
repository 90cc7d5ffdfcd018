"""The backend's answers as LlamaIndex's responses."""

from collections.abc import Sequence

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)

from memvr_integrations.types import Chunk, Completion, TokenRecord
from memvr_integrations.types.tools import ToolCall, ToolCallDelta
from memvr_integrations.wire import report


def to_chat(done: Completion) -> ChatResponse:
    """A finished answer."""
    return ChatResponse(
        message=_message(done.text, done.tool_calls),
        raw=_raw(done),
        logprobs=_logprobs(done.tokens),
        additional_kwargs=_record(done),
    )


def to_completion(response: ChatResponse) -> CompletionResponse:
    """The same answer where text alone is asked for."""
    return CompletionResponse(
        text=response.message.content or "",
        raw=response.raw,
        logprobs=response.logprobs,
        delta=response.delta,
        additional_kwargs=response.additional_kwargs,
    )


class Growing:
    """A streamed answer: every response holds all that came so far."""

    def __init__(self) -> None:
        self._text = ""
        self._calls: list[ToolCall] = []

    def add(self, chunk: Chunk) -> ChatResponse:
        """Take a chunk; the last one brings usage and what MemVR did."""
        self._text += chunk.text
        for delta in chunk.tool_calls:
            self._add_call(delta)
        done = chunk.completion
        calls = done.tool_calls if done else self._calls
        return ChatResponse(
            message=_message(done.text if done else self._text, calls),
            delta=chunk.text,
            raw=_raw(done) if done else None,
            logprobs=_logprobs(chunk.tokens),
            additional_kwargs=_record(done) if done else {},
        )

    def _add_call(self, delta: ToolCallDelta) -> None:
        if delta.id is not None and delta.name is not None:
            self._calls.append(ToolCall(id=delta.id, name=delta.name, arguments=""))
        call = self._calls[delta.index]
        self._calls[delta.index] = ToolCall(
            id=call.id, name=call.name, arguments=call.arguments + delta.arguments
        )


def _message(text: str, calls: Sequence[ToolCall]) -> ChatMessage:
    blocks: list[ContentBlock] = [TextBlock(text=text)] if text or not calls else []
    blocks += [
        ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=call.arguments)
        for call in calls
    ]
    openai = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]
    return ChatMessage(
        role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs={"tool_calls": openai}
    )


def _raw(done: Completion) -> dict[str, object]:
    return {
        "model": done.model,
        "finish_reason": done.finish_reason,
        "usage": {
            "prompt_tokens": done.usage.prompt_tokens,
            "completion_tokens": done.usage.completion_tokens,
            "total_tokens": done.usage.total_tokens,
        },
    }


def _record(done: Completion) -> dict[str, object]:
    """What callbacks count, and what MemVR did."""
    return {
        "prompt_tokens": done.usage.prompt_tokens,
        "completion_tokens": done.usage.completion_tokens,
        "total_tokens": done.usage.total_tokens,
        "finish_reason": done.finish_reason,
        "memvr": report.record(done) | {"tokens": report.logprobs(done.tokens)},
    }


def _logprobs(tokens: Sequence[TokenRecord]) -> list[list[LogProb]]:
    return [
        [LogProb(token=token.text, logprob=token.logprob, bytes=list(token.text.encode()))]
        for token in tokens
    ]
