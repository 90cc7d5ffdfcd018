from memvr_integrations.backend.hosting.prompts.conversation import plain_messages, without_system
from memvr_integrations.types import Image, Message, Request, Text, Tool, ToolCall

PICTURE = Image(b"picture")


def said(*messages, **options):
    """Each message as its role and its content, with pictures as a star."""
    plain = plain_messages(Request(messages=messages, **options))
    return [(message.role, shown(message)) for message in plain]


def shown(message):
    return [part.text if isinstance(part, Text) else "*" for part in message.content]


def test_a_plain_conversation_stays_as_it_is():
    messages = [
        Message("system", "Be brief."),
        Message("user", ["Left:", PICTURE, "Right:", PICTURE]),
        Message("assistant", "Yes."),
        Message("user", "Why?"),
    ]
    assert plain_messages(Request(messages=messages)) == messages


def test_neighbours_in_one_role_become_one_message():
    assert said(Message("user", "One."), Message("user", [PICTURE, "Two."])) == [
        ("user", ["One.", "*", "Two."])
    ]


def test_names_are_said():
    assert said(Message("user", "Hello", name="Ann"), Message("user", "Hi", name="Bob")) == [
        ("user", ["Ann:", "Hello", "Bob:", "Hi"])
    ]


def test_calls_and_results_become_text_and_keep_their_pictures():
    call = ToolCall(id="1", name="zoom", arguments='{"x": 1}')
    plain = said(
        Message("user", "Look closer."),
        Message("assistant", "", tool_calls=[call]),
        Message("tool", ["Here:", PICTURE], name="zoom"),
    )
    assert plain[1:] == [
        ("assistant", ["", '<tool_call>{"name": "zoom", "arguments": {"x": 1}}</tool_call>']),
        ("user", ['<tool_response name="zoom">', "Here:", "*", "</tool_response>"]),
    ]


def test_tools_are_listed_before_everything_else():
    tool = Tool(name="zoom", description="Looks closer — much closer.")
    plain = said(Message("system", "Be brief."), Message("user", "Hello"), tools=[tool])
    (role, (listing, own)), *_ = plain
    assert role == "system"
    assert own == "Be brief."
    assert '"name": "zoom"' in listing
    assert "closer — much" in listing
    assert "<tool_call>" in listing


def test_tools_that_may_not_be_called_are_not_listed():
    tools = [Tool(name="zoom"), Tool(name="look")]
    assert said(Message("user", "Hi"), tools=tools, tool_choice="none") == [("user", ["Hi"])]
    [(_, [listing]), _] = said(Message("user", "Hi"), tools=tools, tool_choice="look")
    assert "zoom" not in listing


def test_a_schema_is_said_last():
    schema = {"type": "object", "properties": {"größe": {"type": "integer"}}}
    [(role, parts)] = said(Message("user", ["Hi", PICTURE]), response_format=schema)
    assert role == "user"
    assert parts[:2] == ["Hi", "*"]
    assert "größe" in parts[2]


def test_system_messages_can_be_said_by_the_user():
    messages = [Message("system", "Be brief."), Message("user", "Hello")]
    assert without_system(messages) == [Message("user", ["Be brief.", "Hello"])]
