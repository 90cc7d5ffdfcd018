"""The backend's answers as LangChain's messages."""

import json

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

from memvr_integrations.types import Chunk, Completion
from memvr_integrations.wire import report

PROVIDER = "memvr"


def to_generation(completion: Completion, *, logprobs: bool) -> ChatGeneration:
    """A finished answer."""
    message = AIMessage(
        content=completion.text,
        tool_calls=[
            tool_call(id=call.id, name=call.name, args=json.loads(call.arguments))
            for call in completion.tool_calls
        ],
        usage_metadata=_usage(completion),
        response_metadata=_metadata(completion, logprobs=logprobs),
    )
    return ChatGeneration(message=message)


def to_chunk(chunk: Chunk, *, logprobs: bool, usage: bool) -> ChatGenerationChunk:
    """A piece of a streamed answer; the last one brings usage and metadata, once."""
    done = chunk.completion
    message = AIMessageChunk(
        content=chunk.text,
        tool_call_chunks=[
            tool_call_chunk(name=one.name, args=one.arguments, id=one.id, index=one.index)
            for one in chunk.tool_calls
        ],
        usage_metadata=_usage(done) if done and usage else None,
        response_metadata=_metadata(done, logprobs=logprobs) if done else {},
        chunk_position="last" if done else None,
    )
    return ChatGenerationChunk(message=message)


def answered(message: AIMessage | None) -> Completion | None:
    """A message that the model gave, as the answer that it was; None for none.

    Raises:
        RequestError: It was given by another model, or without logprobs.
    """
    if message is None:
        return None
    metadata = message.response_metadata
    return report.answered(
        message.text,
        model=metadata.get("model_name"),
        record=metadata.get("memvr"),
        tokens=(metadata.get("logprobs") or {}).get("content"),
    )


def _usage(completion: Completion) -> UsageMetadata:
    usage = completion.usage
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
    )


def _metadata(completion: Completion, *, logprobs: bool) -> dict[str, object]:
    metadata: dict[str, object] = {
        "model_name": completion.model,
        "model_provider": PROVIDER,
        "finish_reason": completion.finish_reason,
        "memvr": report.record(completion, logprobs=logprobs),
    }
    if logprobs:
        metadata["logprobs"] = {"content": report.logprobs(completion.tokens)}
    return metadata
