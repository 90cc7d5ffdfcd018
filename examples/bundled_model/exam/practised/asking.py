"""Conversations of the training as requests, so that they are asked as users ask."""

import json
import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.forms import ANSWER_IN_JSON
from memvr_integrations.backend import (
    Image,
    Message,
    Request,
    SamplingParams,
    Tool,
    ToolCall,
)
from memvr_integrations.types import JsonSchema

Call: TypeAlias = tuple[str, object]
"""A tool's name and its arguments."""

_CALLS = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_RESULTS = re.compile(r'<tool_response(?: name="([^"]*)")?> (.*?) ?</tool_response>', re.DOTALL)


def as_request(
    talk: Talk,
    pictures: Sequence[np.ndarray],
    *,
    turn: int = -1,
    said: Sequence[str] | None = None,
    tokens: int = 60,
) -> Request:
    """A talk up to the question of a `turn`, after the true answers or those that were `said`.

    `pictures` are those that it shows, each (height, width, 3).
    """
    turns = talk.turns[: turn % len(talk.turns) + 1]
    answers = [one.answer for one in turns] if said is None else [*said, ""]
    shown = [Image(picture) for picture in pictures[: talk.pictures]]
    messages, schema = list[Message](), None
    for index, (one, answer) in enumerate(zip(turns, answers, strict=True)):
        question, _, asked_for = one.question.partition(f" {ANSWER_IN_JSON} ")
        seen = shown if index == talk.shown_at else []
        messages += _asked(question, seen)
        if index < len(turns) - 1:
            messages.append(_answered(answer))
        elif asked_for:
            schema = json.loads(asked_for)
    return Request(
        messages=tuple(messages),
        tools=tools_of(talk),
        response_format=schema,
        sampling=SamplingParams(max_tokens=tokens),
        memvr=None,
    )


def tools_of(talk: Talk) -> tuple[Tool, ...]:
    """The tools that a talk's system message lists."""
    lines = talk.system.split("\n")[1:-1]
    shown: list[dict[str, object]] = [json.loads(line) for line in lines]
    return tuple(_tool(one) for one in shown)


def calls_of(answer: str) -> list[Call]:
    """The calls that an answer holds."""
    found = [json.loads(text) for text in _CALLS.findall(answer)]
    return [(str(one["name"]), one["arguments"]) for one in found]


def _tool(shown: dict[str, object]) -> Tool:
    parameters = shown["parameters"]
    assert isinstance(parameters, dict), "parameters are a schema"
    schema: JsonSchema = parameters
    return Tool(name=str(shown["name"]), description=str(shown["description"]), parameters=schema)


def _asked(question: str, shown: Sequence[Image]) -> list[Message]:
    results = _RESULTS.findall(question)
    if not results:
        return [Message("user", [*shown, question])]
    return [
        Message("tool", [*(shown if index == 0 else []), *([text] * bool(text))], name=name or None)
        for index, (name, text) in enumerate(results)
    ]


def _answered(answer: str) -> Message:
    calls = [json.loads(text) for text in _CALLS.findall(answer)]
    if not calls:
        return Message("assistant", answer)
    made = tuple(
        ToolCall(
            id=str(index),
            name=call["name"],
            arguments=json.dumps(call["arguments"], ensure_ascii=False),
        )
        for index, call in enumerate(calls)
    )
    return Message("assistant", [], tool_calls=made)
