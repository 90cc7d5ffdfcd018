"""The backend's answers as LangChain's messages."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

from memvr_integrations.types import Chunk, Completion, TokenRecord

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
        "memvr": _record(completion),
    }
    if logprobs:
        metadata["logprobs"] = {"content": [_logprob(token) for token in completion.tokens]}
    return metadata


def _record(completion: Completion) -> dict[str, object]:
    """What MemVR did: JSON-safe, and the same keys always."""
    layers = Counter(
        token.trigger_layer for token in completion.tokens if token.trigger_layer is not None
    )
    return {
        "config": asdict(completion.memvr) if completion.memvr else None,
        "retraced_tokens": completion.retraced,
        "layers": {str(layer): layers[layer] for layer in sorted(layers)},
        "image_tokens": completion.usage.image_tokens,
        "unsureness": completion.unsureness,
        **_spread("entropy", (token.entropy for token in completion.tokens)),
        **_spread("output_entropy", (token.output_entropy for token in completion.tokens)),
    }


def _spread(name: str, values: Iterable[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {
        f"mean_{name}": sum(known) / len(known) if known else None,
        f"max_{name}": max(known, default=None),
    }


def _logprob(token: TokenRecord) -> dict[str, object]:
    """One token in OpenAI's shape, with what MemVR adds."""
    return {
        "token": token.text,
        "logprob": token.logprob,
        "bytes": list(token.text.encode()),
        "top_logprobs": [],
        "entropy": token.entropy,
        "output_entropy": token.output_entropy,
        "trigger_layer": token.trigger_layer,
    }
