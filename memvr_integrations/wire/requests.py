"""Options of a call, by OpenAI's names and ours, as a request."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from memvr_integrations.errors import RequestError
from memvr_integrations.types import Message, Request, SamplingParams
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.wire.presets import read_setting
from memvr_integrations.wire.tools import to_choice, to_schema, to_tools

SAMPLING = tuple(field.name for field in fields(SamplingParams))
"""The options of sampling."""

TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
"""The options of tools and structured answers."""


def to_request(
    messages: Sequence[Message], options: Mapping[str, Any], image_policy: ImagePolicy | None
) -> Request:
    """A request of `SAMPLING` options, `TOOLS` in OpenAI's forms, `memvr`, `decoding`, `timeout`.

    Each has the default of `Request` where the options leave it out; others are not read.
    """
    sampling = {name: options[name] for name in SAMPLING if name in options}
    tools = to_tools(options.get("tools"))
    return Request(
        messages=tuple(messages),
        sampling=SamplingParams(**sampling | {"stop": stops(options.get("stop"))}),
        memvr=read_setting(options.get("memvr", True)),
        decoding=options.get("decoding"),
        timeout=options.get("timeout"),
        tools=tools,
        tool_choice=to_choice(options.get("tool_choice"), tools),
        parallel_tool_calls=options.get("parallel_tool_calls") is not False,
        response_format=to_schema(options.get("response_format")),
        image_policy=image_policy,
    )


def stops(value: object) -> tuple[str, ...]:
    """What `stop` may be: None, a text or several."""
    if isinstance(value, str):  # no list of letters
        return (value,)
    if value is None or (isinstance(value, Sequence) and all(isinstance(s, str) for s in value)):
        return tuple(value or ())
    raise RequestError(f"stop={value!r} must be a text or a list of texts.")


def streamable(request: Request) -> Request:
    """The same request, which has one answer."""
    if request.sampling.n > 1:
        raise RequestError(
            f"n={request.sampling.n} answers can't be streamed into one; use n=1, or ask without a "
            "stream."
        )
    return request
