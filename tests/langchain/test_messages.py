import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from memvr_integrations.backend.hosting.prompts.conversation import plain_messages
from memvr_integrations.backend.structured.tool_calls import written
from memvr_integrations.errors import RequestError
from memvr_integrations.langchain.messages import to_messages
from memvr_integrations.types import Image, Message, Request, Text, ToolCall

PICTURE = {"type": "image", "base64": "AAAA"}
CALL = {"name": "zoom", "args": {"x": 1}, "id": "1", "type": "tool_call"}


def shown(*messages):
    return [
        (
            message.role,
            ["*" if isinstance(part, Image) else part.text for part in message.content],
        )
        for message in to_messages(messages)
    ]


def test_roles_and_order_are_kept():
    assert shown(
        SystemMessage("Be brief."),
        HumanMessage(["A", PICTURE, "B", PICTURE]),
        AIMessage("Yes."),
        HumanMessage("Why?"),
        HumanMessage("Say it."),
    ) == [
        ("system", ["Be brief."]),
        ("user", ["A", "*", "B", "*"]),
        ("assistant", ["Yes."]),
        ("user", ["Why?"]),
        ("user", ["Say it."]),
    ]


@pytest.mark.parametrize(
    ("role", "ours"),
    [("user", "user"), ("Human", "user"), ("developer", "system"), ("ai", "assistant")],
)
def test_chat_messages_have_any_role_that_is_known(role, ours):
    assert shown(ChatMessage("Hi", role=role)) == [(ours, ["Hi"])]


def test_names_are_kept():
    [message] = to_messages([HumanMessage("Hi", name="Ann")])
    assert message.name == "Ann"


def test_calls_and_results_belong_together():
    asked, result = to_messages(
        [
            AIMessage("", tool_calls=[CALL]),
            ToolMessage(["Here:", PICTURE], tool_call_id="1"),
        ]
    )
    assert asked.tool_calls == (ToolCall(id="1", name="zoom", arguments='{"x": 1}'),)
    assert (result.role, result.name) == ("tool", "zoom")
    assert isinstance(result.content[1], Image)


def test_a_call_that_was_not_understood_is_kept_as_it_was_written():
    broken = {"name": "zoom", "args": '{"x": ', "id": "2", "error": "Not JSON."}
    asked, result = to_messages(
        [
            AIMessage("", tool_calls=[CALL], invalid_tool_calls=[broken]),
            ToolMessage("Write JSON.", tool_call_id="2", status="error"),
        ]
    )
    assert asked.tool_calls[1] == ToolCall(id="2", name="zoom", arguments='{"x": ')
    assert result.name == "zoom"
    [said] = plain_messages(Request(messages=(asked,)))
    assert said.content[-1].text.endswith(written(asked.tool_calls[1:]))


def test_a_nameless_call_is_kept_too():
    broken = {"name": None, "args": None, "id": None, "error": None}
    [asked] = to_messages([AIMessage("", invalid_tool_calls=[broken])])
    assert asked.tool_calls == (ToolCall(id="None", name="", arguments=""),)


def test_arguments_that_are_no_json_are_refused():
    call = {"name": "zoom", "args": {"when": object()}, "id": "1"}
    with pytest.raises(RequestError, match="call 'zoom' can't be written as JSON"):
        to_messages([AIMessage("", tool_calls=[call])])


def test_a_failed_tool_says_so():
    assert shown(ToolMessage("No.", tool_call_id="1", status="error")) == [
        ("tool", ["error:", "No."])
    ]


def test_old_function_messages_are_results():
    [message] = to_messages([FunctionMessage("7", name="add")])
    assert message == Message("tool", "7", name="add")


def test_results_in_a_users_message_become_results():
    call = {"type": "tool_use", "id": "1", "name": "zoom", "input": {}}
    result = {
        "type": "tool_result",
        "tool_use_id": "1",
        "content": [{"type": "text", "text": "Here:"}, PICTURE],
    }
    asked, given, said = to_messages(
        [
            AIMessage([{"type": "text", "text": "Wait."}, call], tool_calls=[CALL]),
            HumanMessage([result, {"type": "text", "text": "And?"}]),
        ]
    )
    assert asked.content == (Text("Wait."),)
    assert (given.role, given.name, len(given.content)) == ("tool", "zoom", 2)
    assert said == Message("user", "And?")


def test_a_bare_result_is_no_second_message():
    result = {"type": "tool_result", "tool_use_id": "1", "content": "7"}
    assert shown(HumanMessage([result])) == [("tool", ["7"])]
    failed = {"type": "non_standard", "value": {**result, "is_error": True}}
    assert shown(HumanMessage([failed])) == [("tool", ["error:", "7"])]


def test_any_message_may_be_last():
    for last in (AIMessage("Yes."), SystemMessage("Be brief."), ToolMessage("7", tool_call_id="1")):
        assert len(to_messages([HumanMessage("Hi"), last])) == 2


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (ChatMessage("Hi", role="critic"), "role='critic'"),
        (RemoveMessage(id="1"), "role='remove'"),
        (AIMessage("", additional_kwargs={"audio": {"id": "a"}}), "audio in additional_kwargs"),
    ],
)
def test_what_has_no_place_in_a_prompt_is_named(message, match):
    with pytest.raises(RequestError, match=match):
        to_messages([message])
