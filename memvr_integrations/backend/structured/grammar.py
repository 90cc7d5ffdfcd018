"""What an answer may look like, as a grammar: a JSON schema, tool calls, or text beside calls.

A call is written `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the form that several
open model families are trained on; the grammar makes any other model write it too.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from memvr_integrations.backend.structured.schema_parts import (
    constants,
    has_free_keys,
    patterns,
    unique_keys,
)
from memvr_integrations.backend.structured.schemas import narrowed
from memvr_integrations.errors import RequestError
from memvr_integrations.types import Request
from memvr_integrations.types.tools import JsonSchema

CALL_BEGIN, CALL_MIDDLE, CALL_END = '<tool_call>{"name": ', ', "arguments": ', "}</tool_call>"
MOST_CALLS = 8  # a model that was never trained for tools may not know when to stop

# Fixed white space: free white space lets a weak model write blanks until its budget is used up.
_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ESCAPES = 'nrbtf"\\'
# Characters that JSON writes as \\u alone, and how a pattern asks for one.
_CONTROLS = re.compile("[\x00-\x07\x0b\x0e-\x1f\x7f]")
_ASKED_FOR = re.compile(r"(?<!\[\^)\\(x[01]|x7f|u00[01]|u007f|0|c[A-Z])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """A grammar in llguidance's Lark, and what it leaves open.

    `free_text` says that plain text is an answer too, or nothing; such text never begins with `<`,
    so the first character says which it is. Below the properties `unique` no array may hold a value
    twice; with `free_keys` an object might hold a key twice, which it may not. `spelled` are the
    patterns that strings have to match, and `constants` the texts that stand in an answer.
    """

    lark: str
    free_text: bool
    unique: frozenset[str] = frozenset()
    free_keys: bool = False
    spelled: tuple[str, ...] = ()
    constants: frozenset[str] = frozenset()


def grammar_of(request: Request) -> Grammar | None:
    """The grammar of a request's answer; None where any text will do.

    Raises:
        RequestError: A schema can't be kept while decoding.
    """
    callable_ = request.callable_tools
    answer = request.response_format
    if not callable_ and answer is None:
        return None
    schemas = [narrowed(tool.parameters, as_object=True) for tool in callable_]
    rules, branches = _calls(request, schemas) if callable_ else ([], [])
    if request.tool_choice == "auto" or not callable_:
        if answer is None:
            branches.append("TEXT")
            # A blank in front belongs to many tokenizers' first word.
            rules.append(r"TEXT: / ?[^<\s](.|\n)*/")
        else:
            schemas.append(narrowed(answer))
            branches.append("json")
            rules.append(f"json: %json {_embedded(schemas[-1])}")
    # A model that has nothing to say may end at once, as it may without tools.
    silent = "?" if "TEXT" in branches else ""
    start = f'start: " "? ({" | ".join(branches)}){silent}'
    given = [*(tool.parameters for tool in callable_), *([] if answer is None else [answer])]
    return Grammar(
        lark="\n".join([start, *rules, ""]),
        free_text="TEXT" in branches,
        unique=frozenset().union(*map(unique_keys, given)),
        free_keys=any(map(has_free_keys, schemas)),
        spelled=tuple(pattern for schema in schemas for pattern in patterns(schema)),
        constants=frozenset().union(*map(constants, schemas)),
    )


def _calls(request: Request, schemas: Sequence[JsonSchema]) -> tuple[list[str], list[str]]:
    """The rules of calls, and the branch by which an answer comes to them."""
    several = request.parallel_tool_calls and request.tool_choice in ("auto", "required")
    rules = [f"calls: call{{1,{MOST_CALLS}}}" if several else "calls: call"]
    rules.append("call: " + " | ".join(f"call_{i}" for i in range(len(schemas))))
    for index, (tool, schema) in enumerate(zip(request.callable_tools, schemas, strict=True)):
        begin = json.dumps(CALL_BEGIN + json.dumps(tool.name) + CALL_MIDDLE)
        rules.append(f"call_{index}: {begin} arguments_{index} {json.dumps(CALL_END)}")
        rules.append(f"arguments_{index}: %json {_embedded(schema)}")
    return rules, ["calls"]


def _embedded(schema: JsonSchema) -> str:
    asked = [*constants(schema), *patterns(schema)]
    controls = any(map(_CONTROLS.search, asked)) or any(map(_ASKED_FOR.search, patterns(schema)))
    # Not for all: a weak model would write control characters into every string.
    layout = _LAYOUT | {"json_allowed_escapes": _ESCAPES + "u" * controls}
    try:
        return json.dumps(dict(schema) | {"x-guidance": layout}, allow_nan=False)
    except ValueError as error:
        raise RequestError(
            f"The schema {schema!r:.200} holds an infinite number, which JSON can't; leave it out."
        ) from error
