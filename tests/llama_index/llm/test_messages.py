import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.schema import ImageDocument

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.messages import question, to_messages
from memvr_integrations.types import Image, Text


def test_roles_and_names():
    roles = ["system", "developer", "user", "assistant", "chatbot", "model"]
    messages = to_messages([ChatMessage(role=role, content="Hi") for role in roles])
    assert [message.role for message in messages] == [
        "system",
        "system",
        "user",
        "assistant",
        "assistant",
        "assistant",
    ]
    [named] = to_messages([ChatMessage(content="Hi", additional_kwargs={"name": "Ana"})])
    assert named.name == "Ana"


def test_a_result_knows_its_tool():
    call = ToolCallBlock(tool_call_id="1", tool_name="look", tool_kwargs={"x": 1})
    asked, result = to_messages(
        [
            ChatMessage(role="assistant", blocks=[call]),
            ChatMessage(role="tool", content="a cow", additional_kwargs={"tool_call_id": "1"}),
        ]
    )
    assert asked.tool_calls[0].arguments == '{"x": 1}'
    assert (result.role, result.name) == ("tool", "look")


def test_calls_of_older_histories_are_kept():
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
    [older] = to_messages([ChatMessage(role="assistant", additional_kwargs={"tool_calls": [call]})])
    assert (older.tool_calls[0].name, older.tool_calls[0].arguments) == ("look", '{"x": 1}')


def test_arguments_that_are_no_json_are_refused():
    call = ToolCallBlock(tool_name="look", tool_kwargs={"x": object()})
    with pytest.raises(RequestError, match="'look' can't be written as JSON"):
        to_messages([ChatMessage(role="assistant", blocks=[call])])


def test_documents_come_before_the_last_user_message(scene_file):
    documents = [ImageDocument(image_path=str(scene_file))]
    messages = [
        ChatMessage(role="user", content="First"),
        ChatMessage(role="user", blocks=[ImageBlock(path=scene_file), TextBlock(text="Second")]),
        ChatMessage(role="assistant", content="Third"),
    ]
    shown = to_messages(messages, documents)
    assert shown[0].content == (Text("First"),)
    assert [type(part) for part in shown[1].content] == [Image, Image, Text]
    with pytest.raises(RequestError, match="image_documents needs a user message"):
        to_messages(messages[2:], documents)


def test_a_prompt_is_a_question_about_its_images(scene_file):
    [message] = question("What?", [scene_file, scene_file])
    assert [type(part) for part in message.content] == [Image, Image, Text]


def test_images_of_the_oldest_form_are_kept(scene_file):
    document = ImageDocument(image_path=str(scene_file))
    [message] = to_messages(
        [ChatMessage(content="What?", additional_kwargs={"images": [document]})]
    )
    assert [type(part) for part in message.content] == [Text, Image]
