"""Answers in OpenAI's forms, as JSON-safe dicts.

The frameworks have streams of their own, so `delta_of` is for the server, which is to come.
"""

from collections.abc import Sequence
from dataclasses import asdict

from memvr_integrations.types import Chunk, Completion, ToolCall, Usage
from memvr_integrations.wire import report


def usage_of(usage: Usage) -> dict[str, int]:
    """Counts of tokens; `image_tokens` is ours."""
    return asdict(usage) | {"total_tokens": usage.total_tokens}


def call_forms(calls: Sequence[ToolCall]) -> list[dict[str, object]]:
    """Whole calls."""
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]


def answer_of(done: Completion, *, logprobs: bool) -> dict[str, object]:
    """`model`, `usage` and `choices`: the answer and its alternatives, each with what MemVR did."""
    answers = [done, *done.alternatives]
    return {
        "model": done.model,
        "choices": [_choice(at, one, logprobs=logprobs) for at, one in enumerate(answers)],
        "usage": usage_of(done.usage),
    }


def _choice(index: int, done: Completion, *, logprobs: bool) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": done.text}
    if done.tool_calls:
        message["tool_calls"] = call_forms(done.tool_calls)
    return {
        "index": index,
        "message": message,
        "finish_reason": done.finish_reason,
        "logprobs": {"content": report.logprobs(done.tokens)} if logprobs else None,
        "memvr": report.record(done, logprobs=logprobs),
    }


def delta_of(chunk: Chunk) -> dict[str, object]:
    """What a chunk adds to its message."""
    delta: dict[str, object] = {"content": chunk.text}
    if chunk.tool_calls:
        delta["tool_calls"] = [
            {
                "index": one.index,
                **({"id": one.id, "type": "function"} if one.id is not None else {}),
                "function": {"arguments": one.arguments}
                | ({"name": one.name} if one.name is not None else {}),
            }
            for one in chunk.tool_calls
        ]
    return delta
