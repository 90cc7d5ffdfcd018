"""Whether an answer calls, fills in or says what it should: shares of it that are right."""

import json
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from bundled_model.conversations.practised.languages import NOT_ENGLISH
from bundled_model.exam.judging import is_refusal, is_true
from bundled_model.exam.practised.asking import calls_of
from memvr_integrations.backend import Completion
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned

Judge: TypeAlias = Callable[[Completion, str], float]
"""The share (0 to 1) of an answer that is right, given the true one."""


def right_tool(done: Completion, truth: str) -> float:
    """Whether the right tools are called, and no other."""
    return float([one.name for one in done.tool_calls] == [name for name, _ in calls_of(truth)])


def right_call(done: Completion, truth: str) -> float:
    """Whether the right tools are called with the right arguments, all of them."""
    return float(_calls(done) == calls_of(truth))


def right_arguments(done: Completion, truth: str) -> float:
    """The share of arguments that are right; none where another tool is called."""
    wanted = calls_of(truth)
    given = dict(zip((name for name, _ in wanted), _calls(done), strict=False))
    right, asked = 0, 0
    for name, arguments in wanted:
        called, mine = given.get(name, ("", {}))
        assert isinstance(arguments, dict)
        asked += len(arguments)
        if called == name and isinstance(mine, dict):
            right += sum(_same(mine.get(key), value) for key, value in arguments.items())
    return right / asked if asked else right_tool(done, truth)


def calls_none(done: Completion, truth: str) -> float:
    """Whether nothing is called."""
    return float(not done.tool_calls)


def says(done: Completion, truth: str) -> float:
    """Whether it says what is true, and calls nothing."""
    return float(not done.tool_calls and bool(done.text.strip()) and is_true(done.text, truth))


def says_exactly(done: Completion, truth: str) -> float:
    """Whether it says the true answer to the letter, and calls nothing."""
    return float(not done.tool_calls and done.text.strip() == truth)


def refuses(done: Completion, truth: str) -> float:
    """Whether it says that the picture doesn't tell."""
    return float(is_refusal(done.text))


def says_only_english(done: Completion, truth: str) -> float:
    """Whether it says that it answers in English alone."""
    return float(done.text.strip() == NOT_ENGLISH)


def concludes(done: Completion, truth: str) -> float:
    """Whether the last sentence names the same things."""
    mine, its = (
        set(mentioned(re.split(r"\.\s+", text.strip().rstrip("."))[-1]))
        for text in (done.text, truth)
    )
    return float(mine == its)


def right_fields(done: Completion, truth: str) -> float:
    """The share of a record's fields that are right."""
    mine, its = _record(done.text), json.loads(truth)
    return sum(_same(mine.get(key), value) for key, value in its.items()) / len(its)


def right_record(done: Completion, truth: str) -> float:
    """Whether all of a record's fields are right."""
    return float(right_fields(done, truth) == 1)


def _record(text: str) -> Mapping[str, object]:
    """What JSON holds, nothing where it was cut off."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _calls(done: Completion) -> list[tuple[str, object]]:
    return [(one.name, _record(one.arguments)) for one in done.tool_calls]


def _same(mine: object, its: object) -> bool:
    """Whether two values are the same; descriptions may say it in other words, lists in order."""
    if isinstance(its, str) and isinstance(mine, str) and " scene with " in its:
        return is_true(mine, its)
    if isinstance(its, list) and isinstance(mine, list):
        return sorted(map(json.dumps, mine)) == sorted(map(json.dumps, its))
    return type(mine) is type(its) and mine == its
