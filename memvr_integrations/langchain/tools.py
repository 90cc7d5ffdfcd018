"""Tools and schemas, as LangChain's users write them."""

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel
from typing_extensions import is_typeddict

from memvr_integrations.errors import RequestError
from memvr_integrations.langchain.typed_dicts import schema_of_typed_dict
from memvr_integrations.types import JsonSchema
from memvr_integrations.wire import tools
from memvr_integrations.wire.classes import schema_of_class

_FUNCTION_WORDS = frozenset({"function", "parameters", "input_schema"})


def openai_tool(tool: object) -> dict[str, object]:
    """A function, class, schema or LangChain tool in OpenAI's form."""
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


def response_schema(form: object) -> JsonSchema | None:
    """The JSON schema of a `response_format`; None where any text will do.

    It is OpenAI's (`{"type": "json_schema", ...}`, `{"type": "json_object"}`), a JSON schema, or
    a class.
    """
    openai = ("text", "json_object", "json_schema")
    if form is None or (isinstance(form, Mapping) and form.get("type") in openai):
        return tools.to_schema(form)
    return json_schema_of(form)


def json_schema_of(form: object) -> JsonSchema:
    """The JSON schema of a class, a TypedDict or a schema, also in one of OpenAI's wrappings."""
    if named := _named_schema(form):
        inner: JsonSchema = named["parameters"]
        return inner
    if isinstance(form, dict) and not form.keys() & _FUNCTION_WORDS:
        return form
    whole = _whole_schema(form)
    return _converted(convert_to_json_schema, form) if whole is None else whole


def _named_schema(form: object) -> dict[str, Any] | None:
    """OpenAI's `{"name": ..., "schema": {...}}`, also wrapped, in the form of a function."""
    found = tools.named_schema(form)
    if found is None:
        return None
    around, schema = found
    name = str(around.get("name") or schema.get("title") or "answer")
    return {
        "name": name,
        "description": str(around.get("description") or schema.get("description") or ""),
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
