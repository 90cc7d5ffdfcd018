import pytest
from pydantic import BaseModel

from memvr_integrations.errors import RequestError
from memvr_integrations.types import Tool
from memvr_integrations.wire.tools import to_choice, to_schema, to_tools

TOOLS = (Tool(name="zoom"), Tool(name="look"))


class Place(BaseModel):
    """A place."""

    name: str


@pytest.mark.parametrize("form", ["zoom", {}, {"function": "zoom"}, {"function": {}}])
def test_a_tool_without_a_name_is_refused(form):
    with pytest.raises(RequestError, match="not in OpenAI's form"):
        to_tools([form])


@pytest.mark.parametrize(
    ("choice", "ours"),
    [
        (None, "auto"),
        (False, "auto"),
        ("auto", "auto"),
        ("none", "none"),
        (True, "required"),
        ("any", "required"),
        ("required", "required"),
        ("zoom", "zoom"),
        ({"type": "function", "function": {"name": "zoom"}}, "zoom"),
        ({"type": "tool", "name": "zoom"}, "zoom"),
        ({"type": "any"}, "required"),
    ],
)
def test_every_form_of_choice_is_understood(choice, ours):
    assert to_choice(choice, TOOLS) == ours


def test_a_tool_may_be_called_any():
    tools = (Tool(name="any"), *TOOLS)
    assert to_choice("any", tools) == "any"
    assert to_choice({"type": "function", "function": {"name": "any"}}, tools) == "any"
    assert to_choice({"type": "any"}, tools) == to_choice(True, tools) == "required"


def test_a_choice_of_no_tool_is_refused():
    with pytest.raises(RequestError, match=r"tool_choice='zom'.*Did you mean 'zoom'\?"):
        to_choice("zom", TOOLS)


def test_forms_of_a_schema():
    schema = {"type": "object", "properties": {"a": {}}}
    for form in (
        schema,
        {"name": "A", "schema": schema},
        {"type": "json_schema", "json_schema": {"name": "A", "schema": schema}},
    ):
        assert to_schema(form) == schema
    assert to_schema({"type": "text"}) is None
    assert to_schema(Place)["required"] == ["name"]
    with pytest.raises(RequestError, match="response_format=int is no class of pydantic"):
        to_schema(int)
    with pytest.raises(RequestError, match="holds no 'schema'"):
        to_schema({"type": "json_schema", "json_schema": {}})
