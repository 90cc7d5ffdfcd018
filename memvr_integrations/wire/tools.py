"""OpenAI's forms of tools, their choice and response formats, as plain dicts."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pydantic import BaseModel

from memvr_integrations.checks import check_list
from memvr_integrations.errors import RequestError, did_you_mean
from memvr_integrations.types.tools import JsonSchema, Tool
from memvr_integrations.wire.classes import schema_of_class

ToolChoice: TypeAlias = str | bool | Mapping[str, object] | None


def to_tools(forms: object) -> tuple[Tool, ...]:
    """Tools in OpenAI's form, with or without its `{"type": "function"}` around them."""
    if forms is None:
        return ()
    hint = "[{'type': 'function', 'function': {'name': ..., 'parameters': {...}}}]"
    return tuple(map(_tool, check_list("tools", forms, hint)))


def _tool(form: object) -> Tool:
    function = form.get("function", form) if isinstance(form, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise RequestError(
            f"The tool {form!r} is not in OpenAI's form and has no name; give it with "
            "bind_tools([...]) in LangChain, with chat_with_tools([...]) in LlamaIndex."
        )
    name, description = function["name"], function.get("description")
    if not (description is None or isinstance(description, str)):
        raise RequestError(
            f"The description of tool {name!r} is {description!r}; give a text, or leave it out."
        )
    parameters = function.get("parameters")
    if parameters is None or parameters == {}:  # a function without arguments, as OpenAI has it
        return Tool(name=name, description=description or "")
    return Tool(name=name, description=description or "", parameters=parameters)


def to_choice(choice: ToolChoice, tools: Sequence[Tool]) -> str:
    """What people write for `tool_choice`: a word, a tool's name, or either in a dict.

    A tool may be called "any": then the word means that tool, and only the dict
    `{"type": "any"}` any tool.
    """
    if choice is None or choice is False:
        return "auto"
    if choice is True:
        return "required"
    names = [tool.name for tool in tools]
    if isinstance(choice, Mapping):
        inner = choice.get("function", choice)
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if name is None and choice.get("type") == "any":
            return "required"
        return to_choice(str(name or choice.get("type", "")), tools)
    if choice == "any" and "any" not in names:
        return "required"
    if choice not in ("auto", "none", "required", *names):
        raise RequestError(
            f"tool_choice={choice!r} is none of 'auto', 'none', 'any', 'required' and the given "
            f"tools ({', '.join(names)})." + did_you_mean(str(choice), names)
        )
    return str(choice)


def to_schema(form: object) -> JsonSchema | None:
    """The JSON schema of a `response_format`; None where any text will do.

    It is OpenAI's (`{"type": "json_schema", ...}`, `{"type": "json_object"}`), what these wrap, a
    JSON schema, or a pydantic class.
    """
    if form is None or (isinstance(form, type) and issubclass(form, BaseModel)):
        return None if form is None else schema_of_class(form)
    if not isinstance(form, Mapping):
        shown = form.__name__ if isinstance(form, type) else repr(form)
        raise RequestError(
            f"response_format={shown} is no class of pydantic; give one, or a JSON schema."
        )
    kind = form.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    named = named_schema(form)
    if named is None and kind == "json_schema":
        raise RequestError(f"response_format={form!r} holds no 'schema'.")
    return form if named is None else named[1]


def named_schema(form: object) -> tuple[Mapping[str, object], JsonSchema] | None:
    """OpenAI's `{"name": ..., "schema": {...}}`, also in what it wraps that in, and the schema.

    A schema with a property for each of these words would have them below "properties".
    """
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        form = form.get("json_schema", form)
    schema = form.get("schema") if isinstance(form, Mapping) else None
    return (form, schema) if isinstance(schema, Mapping) else None  # type: ignore[return-value]
