import pytest

from memvr_integrations.errors import RequestError
from memvr_integrations.types import Message, Request
from memvr_integrations.types.tools import Tool


@pytest.mark.parametrize("name", ["", "a\nb", "auto", "none", "required"])
def test_names_that_no_call_could_have(name):
    with pytest.raises(RequestError, match="printable"):
        Tool(name=name)


def test_arguments_are_an_object():
    with pytest.raises(RequestError, match="'array'; arguments are always an object"):
        Tool(name="look", parameters={"type": "array"})
    with pytest.raises(RequestError, match="are a list"):
        Tool(name="look", parameters=[])


def test_a_tool_without_parameters_takes_none():
    assert Tool(name="look").parameters["properties"] == {}


def request(**options):
    return Request(messages=[Message("user", "Hello")], **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tool_choice": "required"}, "needs tools"),
        ({"tool_choice": "look"}, "no tools were given"),
        ({"tool_choice": "lok", "tools": [Tool(name="look")]}, r"name of a tool \(look\)"),
        ({"tools": [Tool(name="look"), Tool(name="look")]}, "same name"),
        ({"response_format": "json"}, "response_format is a str"),
    ],
)
def test_requests_that_make_no_sense(options, match):
    with pytest.raises(RequestError, match=match):
        request(**options)


def test_which_tools_may_be_called():
    tools = (Tool(name="look"), Tool(name="zoom"))
    assert request(tools=tools).callable_tools == tools
    assert request(tools=tools, tool_choice="required").callable_tools == tools
    assert request(tools=tools, tool_choice="zoom").callable_tools == tools[1:]
    assert request(tools=tools, tool_choice="none").callable_tools == ()


def test_only_assistants_call_tools():
    with pytest.raises(RequestError, match="assistants call tools"):
        Message("user", "Hello", tool_calls=[object()])
