"""`with_structured_output`: answers under a schema, parsed."""

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal, TypeAlias, get_args

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import OutputParserLike
from langchain_core.output_parsers.openai_tools import (
    JsonOutputKeyToolsParser,
    PydanticToolsParser,
)
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ValidationError
from typing_extensions import is_typeddict

from memvr_integrations.errors import ConfigError
from memvr_integrations.langchain.tools import json_schema_of, openai_tool

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]

_Structured: TypeAlias = Runnable[LanguageModelInput, dict[str, Any] | BaseModel]


def structured(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    *,
    method: Method,
    include_raw: bool,
    options: Mapping[str, Any],
) -> _Structured:
    """A chain of a model that is held to `schema`, and the parser of its answers."""
    if method not in get_args(Method):
        raise ConfigError(f"method={method!r} must be one of {', '.join(get_args(Method))}.")
    traced = {"kwargs": {"method": method}, "schema": _traceable(schema)}
    parser: OutputParserLike[Any]
    is_class = isinstance(schema, type) and is_basemodel_subclass(schema)
    made: type[Any] | None = schema if is_class else None  # type: ignore[assignment]
    if method == "function_calling":
        name = str(openai_tool(schema)["function"]["name"])  # type: ignore[index]
        llm = model.bind_tools(
            [schema],
            tool_choice=name,
            ls_structured_output_format=traced,
            **options,
        )
        parser = (
            PydanticToolsParser(tools=[made], first_tool_only=True)
            if made
            else JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
        )
    else:
        form = {"type": "json_schema", "json_schema": {"schema": json_schema_of(schema)}}
        llm = model.bind(response_format=form, ls_structured_output_format=traced, **options)
        parser = _Json(pydantic_object=made) if made else JsonOutputParser()
    if not include_raw:
        return llm | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=llm) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _traceable(schema: dict[str, Any] | type) -> object:
    """What LangChain can read for its traces: it stumbles over TypedDicts with NotRequired."""
    if not is_typeddict(schema):
        return schema
    try:
        convert_to_json_schema(schema)
    except (TypeError, ValueError):
        return json_schema_of(schema)
    return schema


class _Json(PydanticOutputParser[Any]):
    """Reads JSON as JSON, so that strict classes take a date from a string, as they should."""

    def _parse_obj(self, obj: dict[str, Any]) -> Any:
        if issubclass(self.pydantic_object, BaseModel):
            try:
                return self.pydantic_object.model_validate_json(json.dumps(obj))
            except ValidationError as error:
                raise self._parser_exception(error, obj) from error
        return super()._parse_obj(obj)
