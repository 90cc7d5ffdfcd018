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

from memvr_integrations.types import (
    Chunk,
    Completion,
    TokenRecord,
    ToolCall,
    ToolCallDelta,
    TopToken,
)
from memvr_integrations.wire import report
from memvr_integrations.wire.answers import answer_of, call_forms, usage_of


def to_chat(done: Completion, *, logprobs: bool) -> ChatResponse:
    """A finished answer; `raw` has the alternatives too, in OpenAI's form."""
    return ChatResponse(
        message=_message(done.text, done.tool_calls),
        raw=answer_of(done, logprobs=logprobs),
        logprobs=_logprobs(done.tokens) if logprobs else None,
        additional_kwargs=_record(done, logprobs=logprobs),
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


def answered(response: ChatResponse | CompletionResponse | None) -> Completion | None:
    """A response that the model gave, as the answer that it was; None for none.

    Raises:
        RequestError: It was given by another model, or without logprobs.
    """
    if response is None:
        return None
    said = response.message.content if isinstance(response, ChatResponse) else response.text
    raw, record = response.raw, response.additional_kwargs.get("memvr")
    return report.answered(
        said or "",
        model=raw.get("model") if isinstance(raw, dict) else None,
        record=record,
        tokens=record.get("tokens") if isinstance(record, dict) else None,
    )


class Growing:
    """A streamed answer: every response holds all that came so far."""

    def __init__(self, *, logprobs: bool) -> None:
        self._logprobs = logprobs
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
            raw=answer_of(done, logprobs=self._logprobs) if done else None,
            logprobs=_logprobs(chunk.tokens) if self._logprobs else None,
            additional_kwargs=_record(done, logprobs=self._logprobs) if done else {},
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
    openai = {"tool_calls": call_forms(calls)}
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=openai)


def _record(done: Completion, *, logprobs: bool) -> dict[str, object]:
    """What callbacks count, and what MemVR did."""
    tokens = {"tokens": report.logprobs(done.tokens)} if logprobs else {}
    return {
        **usage_of(done.usage),
        "finish_reason": done.finish_reason,
        "memvr": report.record(done, logprobs=logprobs) | tokens,
    }


def _logprobs(tokens: Sequence[TokenRecord]) -> list[list[LogProb]]:
    """For each token itself, then the other likely ones."""
    found = []
    for token in tokens:
        likely: list[TokenRecord | TopToken] = [token]
        likely += [other for other in token.top if other.id != token.id]
        found.append(
            [
                LogProb(token=one.text, logprob=one.logprob, bytes=list(one.text.encode()))
                for one in likely
            ]
        )
    return found
