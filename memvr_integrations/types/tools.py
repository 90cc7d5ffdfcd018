"""Tools that a model may call, and the calls it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from memvr_integrations.errors import RequestError

JsonSchema: TypeAlias = Mapping[str, object]
"""A JSON schema as Python data."""

ANSWER_IN_JSON = "Answer with JSON that fits this schema:"
"""What a model reads before the schema; the bundled model was trained on these words."""


_CHOICES = ("auto", "none", "required")


def _no_arguments() -> JsonSchema:
    return {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A function that the model may ask for; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str = ""
    parameters: JsonSchema = field(default_factory=_no_arguments)

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable() or self.name in _CHOICES:
            raise RequestError(
                f"A tool's name={self.name!r} must be printable text, and none of "
                f"{', '.join(_CHOICES)}: those are words of tool_choice."
            )
        if not isinstance(self.parameters, Mapping):
            raise RequestError(
                f"The parameters of tool {self.name!r} are a {type(self.parameters).__name__}; "
                "give a JSON schema as a dict."
            )
        if self.parameters.get("type", "object") != "object":
            raise RequestError(
                f"The parameters of tool {self.name!r} are of type {self.parameters['type']!r}; "
                "arguments are always an object."
            )


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One call; `arguments` is the text of a JSON object that fits the tool's parameters."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class ToolCallDelta:
    """A piece of a streamed call: the first one of each `index` brings `id` and `name`."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
