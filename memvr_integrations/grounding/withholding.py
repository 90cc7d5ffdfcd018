"""Answers after a rule: given, or withheld; whole and streamed, for every integration alike."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, closing
from dataclasses import replace

from memvr_integrations.errors import AbstentionError
from memvr_integrations.grounding.abstaining import KnownRule
from memvr_integrations.grounding.unsure_values import (
    UnsureValue,
    may_be_null,
    unsure_values,
    without,
)
from memvr_integrations.types import Chunk, Completion, Request
from memvr_integrations.types.tools import ToolCallDelta


def given(
    rule: KnownRule, request: Request, done: Completion, again: Callable[[Request], Completion]
) -> Completion:
    """An answer as the rule has it: itself, a second try, or what stands in its place.

    A text counts by `Completion.unsureness`; a tool call and JSON by the values in it. An unsure
    value becomes null where the schema lets it. `checks` says what was withheld, and why.

    Raises:
        AbstentionError: The rule is to raise it; or a value is too unsure that can't be null.
    """
    stronger = _second_try(rule, request, done)
    answered = done if stronger is None else again(stronger)
    return _judged(rule, request, answered, retried=stronger is not None)


async def agiven(
    rule: KnownRule,
    request: Request,
    done: Completion,
    again: Callable[[Request], Awaitable[Completion]],
) -> Completion:
    """`given` for asyncio."""
    stronger = _second_try(rule, request, done)
    answered = done if stronger is None else await again(stronger)
    return _judged(rule, request, answered, retried=stronger is not None)


def held(
    rule: KnownRule,
    request: Request,
    chunks: Generator[Chunk, None, None],
    again: Callable[[Request], Completion],
) -> Generator[Chunk, None, None]:
    """An answer's chunks, once it is whole and the rule has judged it.

    Raises:
        AbstentionError: As `given` does.
    """
    with closing(chunks):
        kept = list(chunks)
    done = kept[-1].completion
    assert done is not None
    yield from _after(kept, given(rule, request, done, again))


async def aheld(
    rule: KnownRule,
    request: Request,
    chunks: AsyncGenerator[Chunk, None],
    again: Callable[[Request], Awaitable[Completion]],
) -> AsyncGenerator[Chunk, None]:
    """`held` for asyncio."""
    async with aclosing(chunks):
        kept = [chunk async for chunk in chunks]
    done = kept[-1].completion
    assert done is not None
    for chunk in _after(kept, await agiven(rule, request, done, again)):
        yield chunk


def _after(kept: list[Chunk], judged: Completion) -> list[Chunk]:
    """The chunks as they came, if the answer is the one that they make up."""
    first = kept[-1].completion
    assert first is not None
    if replace(judged, checks={}) == first:
        return [*kept[:-1], replace(kept[-1], completion=judged)]
    calls = tuple(
        ToolCallDelta(index=at, id=call.id, name=call.name, arguments=call.arguments)
        for at, call in enumerate(judged.tool_calls)
    )
    return [Chunk(text=judged.text, tokens=judged.tokens, tool_calls=calls, completion=judged)]


def _second_try(rule: KnownRule, request: Request, done: Completion) -> Request | None:
    stronger = rule.second_try(_unsureness(request, done)[0], done.memvr)
    return None if stronger is None else replace(request, memvr=stronger)


def _judged(rule: KnownRule, request: Request, done: Completion, *, retried: bool) -> Completion:
    others = tuple(_judged(rule, request, one, retried=retried) for one in done.alternatives)
    unsureness, values = _unsureness(request, done)
    fields: list[dict[str, object]] = []
    abstained = rule.withholds(unsureness)
    in_json = bool(values) and not done.tool_calls
    unsure = [one for one in values if rule.withholds(one.unsureness)]
    breaks = in_json and not all(may_be_null(request.response_format, one.path) for one in unsure)
    if abstained and (rule.rule.action == "raise" or breaks):
        raise AbstentionError(_said(done), unsureness, rule.threshold, done)
    text, calls, reason = done.text, done.tool_calls, done.finish_reason
    if abstained and in_json:
        fields = [
            {"field": one.pointer, "value": one.value, "unsureness": one.unsureness}
            for one in unsure
        ]
        data = without(json.loads(done.text), [one.path for one in unsure])
        text = json.dumps(data, ensure_ascii=False)
    elif abstained:
        text, calls, reason = rule.rule.answer, (), "stop"
    checks = {
        **done.checks,
        "unsureness": unsureness,
        **rule.verdict(unsureness, done.text),
        "withheld_tool_calls": [
            {"name": call.name, "args": json.loads(call.arguments), "id": call.id}
            for call in (done.tool_calls if abstained else ())
        ],
        "withheld_fields": fields,
        "retried": retried,
    }
    return replace(
        done,
        text=text,
        tool_calls=calls,
        finish_reason=reason,
        boxes=() if abstained else done.boxes,
        alternatives=others,
        checks=checks,
    )


def _said(done: Completion) -> str:
    calls = (f"{call.name}({call.arguments})" for call in done.tool_calls)
    return " ".join([done.text, *calls]).strip()


def _unsureness(request: Request, done: Completion) -> tuple[float, list[UnsureValue]]:
    """How unsure the model was, and of which values where the answer is JSON or calls."""
    if not (done.tool_calls or request.response_format is not None):
        return done.unsureness, []
    written = "".join(token.text for token in done.tokens)
    values, at = [], 0
    for text in [call.arguments for call in done.tool_calls] or [done.text]:
        at = written.find(text, at)
        if at < 0 or not _is_json(text):
            return done.unsureness, []
        values += unsure_values(text, done.tokens, at)
        at += len(text)
    if not values:  # as of a tool without arguments: which one it is was chosen
        return done.unsureness, []
    return max(one.unsureness for one in values), values


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
