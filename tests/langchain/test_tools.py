import typing
from typing import Annotated, NotRequired, Required

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from scripted_engine import ScriptedEngine
from typing_extensions import TypedDict

from memvr_integrations.errors import RequestError
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.langchain.tools import openai_tool, response_schema
from memvr_integrations.wire.tools import to_tools


class Zoom(BaseModel):
    """Shows a part of the picture, larger."""

    x: int = Field(ge=0)


class Typed(TypedDict):
    """Shows a part of the picture, larger."""

    x: int


@tool
def zoom(x: int) -> str:
    """Shows a part of the picture, larger."""
    return str(x)


def plain(x: int) -> str:
    """Shows a part of the picture, larger.

    Args:
        x: Where.
    """
    return str(x)


class Tree(BaseModel):
    """A tree."""

    kids: list["Tree"] = []


@tool
def plant(tree: Tree) -> str:
    """Plants a tree."""
    return ""


@pytest.mark.parametrize("given", [Tree, plant])
def test_a_class_that_contains_itself_stays_whole(given):
    [made] = to_tools([openai_tool(given)])
    kids = made.parameters["$defs"]["Tree"]["properties"]["kids"]
    assert kids["items"] == {"$ref": "#/$defs/Tree"}
    assert response_schema(Tree)["$defs"]["Tree"]["properties"]["kids"] == kids


SCHEMA = {
    "title": "zoom",
    "description": "Shows a part of the picture, larger.",
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
}


@pytest.mark.parametrize("given", [Zoom, Typed, zoom, plain, SCHEMA, openai_tool(Zoom)])
def test_every_form_of_tool_is_understood(given):
    [made] = to_tools([openai_tool(given)])
    assert made.description == "Shows a part of the picture, larger."
    assert made.parameters["properties"]["x"]["type"] == "integer"


@pytest.mark.parametrize("make", [typing.TypedDict, TypedDict], ids=["standard", "extensions"])
def test_keys_of_a_typed_dict_may_be_left_out(make):
    class Seen(make):
        """What is seen."""

        name: Annotated[str, ..., "The thing"]
        count: NotRequired[int]

    class Loose(make, total=False):
        """What is seen."""

        name: Required[Annotated[str, ..., "The thing"]]
        count: int

    for form in (Seen, Loose):
        for schema in (response_schema(form), to_tools([openai_tool(form)])[0].parameters):
            assert schema["required"] == ["name"]
            assert schema["properties"]["name"]["description"] == "The thing"
            assert schema["properties"]["count"]["type"] == "integer"


@pytest.mark.parametrize("form", [3, object(), {"function": {}}])
def test_what_is_no_tool_is_named(form):
    with pytest.raises(RequestError, match="give a function, a pydantic"):
        openai_tool(form)


def test_a_tool_without_arguments_takes_none():
    [made] = to_tools([{"type": "function", "function": {"name": "look"}}])
    assert made.parameters["additionalProperties"] is False


def test_tools_of_a_provider_are_refused():
    with pytest.raises(RequestError, match="provider's servers"):
        openai_tool({"type": "web_search_preview"})


@pytest.mark.parametrize(
    ("form", "title"),
    [
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}, "zoom"),
        (SCHEMA, "zoom"),
        (Zoom, "Zoom"),
        (Typed, "Typed"),
    ],
)
def test_every_form_of_schema_is_understood(form, title):
    schema = response_schema(form)
    assert schema["properties"]["x"]["type"] == "integer"
    assert schema["title"] == title


def test_forms_without_a_schema():
    assert response_schema(None) is response_schema({"type": "text"}) is None
    assert response_schema({"type": "json_object"}) == {"type": "object"}
    assert response_schema({"type": "array"}) == {"type": "array"}


@pytest.mark.parametrize(
    "schema",
    [
        {"title": "L", "type": "array", "items": {"type": "integer"}},
        {"title": "L", "enum": ["yes", "no"]},
        {"title": "L", "anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"title": "R", "$ref": "#/$defs/A", "$defs": {"A": {"type": "integer"}}},
    ],
)
def test_a_schema_with_a_title_stays_what_it_is(schema):
    assert response_schema(schema) == schema
    assert response_schema({"type": "json_schema", "name": "x", "schema": schema}) == schema


def test_a_form_without_a_schema_is_refused():
    with pytest.raises(RequestError, match="holds no 'schema'"):
        response_schema({"type": "json_schema", "json_schema": {"name": "x"}})


@pytest.mark.parametrize(
    "form",
    [
        {"name": "Joke", "strict": True, "schema": {"type": "object", "properties": {"a": {}}}},
        {
            "type": "json_schema",
            "json_schema": {"name": "Joke", "schema": {"properties": {"a": {}}}},
        },
    ],
)
def test_wrapped_schemas_are_unwrapped(form):
    assert response_schema(form)["properties"] == {"a": {}}
    function = openai_tool(form)["function"]
    assert function["name"] == "Joke"
    assert function["parameters"]["properties"] == {"a": {}}


def test_a_tool_that_was_not_bound_is_read_all_the_same():
    engine = ScriptedEngine()
    ChatMemVR(model="scripted", engine=engine).invoke("Show 3", tools=[zoom])
    assert [tool.name for tool in engine.requests[0].tools] == ["zoom"]
