"""Tools, schemas and options of a call, as LangChain's users write them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel
from typing_extensions import is_typeddict

from memvr_integrations.errors import RequestError, did_you_mean
from memvr_integrations.langchain.typed_dicts import schema_of_typed_dict
from memvr_integrations.types.tools import JsonSchema, Tool
from memvr_integrations.wire.classes import schema_of_class

_FUNCTION_WORDS = frozenset({"function", "parameters", "input_schema"})

ToolChoice: TypeAlias = str | bool | Mapping[str, object] | None


def openai_tool(tool: object) -> dict[str, object]:
    """A function, class, schema or LangChain tool in OpenAI's form.

    Raises:
        RequestError: It is a tool that only a provider's own servers could run.
    """
    form = _converted(convert_to_openai_tool, _named_schema(tool) or tool)
    if form.get("type") != "function":
        raise RequestError(
            f"The tool {form!r} would run on a provider's servers; give a function, a pydantic "
            "class or a tool of your own."
        )
    model = tool.tool_call_schema if isinstance(tool, BaseTool) else tool
    whole = _whole_schema(model)
    if whole is None:
        return form
    function = form["function"]
    assert isinstance(function, dict)
    return {**form, "function": {**function, "parameters": whole}}


def to_tools(forms: Iterable[object]) -> tuple[Tool, ...]:
    """Tools as the backend's: in OpenAI's form, or whatever `openai_tool` takes."""
    tools = []
    for form in forms:
        form = form if isinstance(form, Mapping) else openai_tool(form)
        function = form.get("function", form)
        if not isinstance(function, Mapping) or "name" not in function:
            raise RequestError(f"The tool {form!r} has no name; give it with bind_tools([...]).")
        given = {key: function[key] for key in ("description", "parameters") if function.get(key)}
        tools.append(Tool(name=str(function["name"]), **given))
    return tuple(tools)


def to_choice(choice: ToolChoice, tools: Sequence[object]) -> str:
    """What LangChain's users write for `tool_choice`, in the backend's words.

    Raises:
        RequestError: It names no tool.
    """
    if choice is None or choice is False:
        return "auto"
    if choice is True or choice == "any":
        return "required"
    if isinstance(choice, Mapping):
        inner = choice.get("function", choice)
        assert isinstance(inner, Mapping)
        kind = str(choice.get("type", ""))
        return to_choice(str(inner["name"]) if "name" in inner else kind, tools)
    names = [tool.name for tool in to_tools(tools)]
    if choice not in ("auto", "none", "required", *names):
        raise RequestError(
            f"tool_choice={choice!r} is none of 'auto', 'none', 'any', 'required' and the bound "
            f"tools ({', '.join(names)})." + did_you_mean(str(choice), names)
        )
    return str(choice)


def to_schema(form: object) -> JsonSchema | None:
    """The JSON schema of a `response_format`; None where any text will do.

    It is OpenAI's (`{"type": "json_schema", ...}`, `{"type": "json_object"}`), a JSON schema, or
    a class.
    """
    if form is None:
        return None
    if isinstance(form, Mapping):
        kind = form.get("type")
        if kind == "text":
            return None
        if kind == "json_object":
            return {"type": "object"}
        if kind == "json_schema":
            inner = form.get("json_schema", form)
            schema = inner.get("schema") if isinstance(inner, Mapping) else None
            if not isinstance(schema, Mapping):
                raise RequestError(f"response_format={form!r} holds no 'schema'.")
            return schema
    return json_schema_of(form)


def json_schema_of(form: object) -> JsonSchema:
    """The JSON schema of a class, a TypedDict or a schema, also in one of OpenAI's wrappings.

    Raises:
        RequestError: It is none of these.
    """
    named = _named_schema(form)
    if named is not None:
        schema: dict[str, object] = named["parameters"]
        return schema
    if isinstance(form, dict) and not form.keys() & _FUNCTION_WORDS:
        return form
    whole = _whole_schema(form)
    return _converted(convert_to_json_schema, form) if whole is None else whole


def _named_schema(form: object) -> dict[str, Any] | None:
    """OpenAI's `{"name": ..., "schema": {...}}`, and what it wraps that in, as a function's form.

    A schema with a property for each of these words would have them below "properties".
    """
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        form = form.get("json_schema", form)
    if not isinstance(form, Mapping) or not isinstance(form.get("schema"), Mapping):
        return None
    schema = dict(form["schema"])
    name = str(form.get("name") or schema.get("title") or "answer")
    return {
        "name": name,
        "description": str(form.get("description") or schema.get("description") or ""),
        "parameters": {"title": name, **schema},
    }


def _whole_schema(model: object) -> JsonSchema | None:
    """The schema of a class with its references.

    LangChain's own conversion writes them out, and where a class contains itself it leaves
    nothing of it; it does not know either that a key may be left out.
    """
    if not isinstance(model, type):
        return None
    if is_typeddict(model):
        return schema_of_typed_dict(model)
    if not is_basemodel_subclass(model):
        return None
    if issubclass(model, BaseModel):
        return schema_of_class(model)
    older: dict[str, object] = model.schema()  # type: ignore[attr-defined]  # pydantic v1
    return older


def _converted(convert: Callable[[Any], dict[str, Any]], form: object) -> dict[str, Any]:
    """LangChain's form of a tool or schema."""
    if is_typeddict(form):  # theirs stumbles over nested ones; here only the name counts
        assert isinstance(form, type)
        description = (form.__doc__ or "").strip()
        form = {"title": form.__name__, "description": description, **schema_of_typed_dict(form)}
    try:
        return convert(form)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"{form!r} can't be read as a tool or schema ({error}); give a function, a pydantic "
            "class, a TypedDict, a LangChain tool or a JSON schema with a title."
        ) from error
