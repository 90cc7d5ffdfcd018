"""What any multimodal LLM of LlamaIndex should do; subclass it, and give the two fixtures.

It asks for no particular words: only that every way of asking gives the same answer, that images
arrive, that streams add up, that calls and objects are whole, and that nothing comes twice.
"""

import json
import pickle
from typing import Literal

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.loading import load_llm
from llama_index.core.multi_modal_llms import MultiModalLLM
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.schema import ImageDocument
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field


def plain(raw):
    """What a response holds, as JSON has it."""
    return json.loads(json.dumps(raw))


def nearly(raw):
    """The same, where numbers may be rounded otherwise: sums depend on how a prompt is read."""
    return json.loads(
        json.dumps(raw), parse_float=lambda text: pytest.approx(float(text), abs=1e-5)
    )


class Scene(BaseModel):
    """A scene with {braces} in its description."""

    place: Literal["farm", "kitchen"]
    things: list[str]


def look(part: Literal["left", "right"], zoom: int = 1) -> str:
    """Shows a part of the picture."""
    return f"{part} at {zoom}"


class _Events(BaseEventHandler):
    seen: list = Field(default_factory=list)

    @classmethod
    def class_name(cls):
        return "contract"

    def handle(self, event, **kwargs):
        self.seen.append(event)


class MultiModalLLMContract:
    """Tests of one LLM, given by the fixture `llm`; `picture` is a file that it may see."""

    @pytest.fixture
    def llm(self):
        raise NotImplementedError

    @pytest.fixture
    def picture(self):
        raise NotImplementedError

    @pytest.fixture
    def asked(self, picture):
        blocks = [ImageBlock(path=picture), TextBlock(text="What is in the picture?")]
        return [ChatMessage(role="user", blocks=blocks)]

    @pytest.fixture
    def tool(self):
        return FunctionTool.from_defaults(look)

    @pytest.fixture
    def events(self):
        handler = _Events(seen=[])
        dispatcher = get_dispatcher()
        dispatcher.add_event_handler(handler)
        yield handler.seen
        dispatcher.event_handlers.remove(handler)

    def test_it_is_both_kinds_of_llm(self, llm):
        assert isinstance(llm, FunctionCallingLLM)
        assert isinstance(llm, MultiModalLLM)
        assert llm.metadata.is_chat_model
        assert "multi" in llm.class_name()

    async def test_four_ways_to_chat_give_one_answer(self, llm, asked):
        said = llm.chat(asked)
        assert str(said.message.content)
        assert (await llm.achat(asked)).message.content == said.message.content
        streams = [list(llm.stream_chat(asked)), [r async for r in await llm.astream_chat(asked)]]
        for responses in streams:
            assert all(response.delta is not None for response in responses)
            assert "".join(r.delta for r in responses).strip() == said.message.content
            assert responses[-1].message.content == said.message.content
            assert plain(responses[-1].raw) == nearly(said.raw)

    async def test_four_ways_to_complete_give_one_answer(self, llm, picture):
        documents = [ImageDocument(image_path=str(picture))]
        said = llm.complete("What is in the picture?", image_documents=documents)
        assert str(said)
        assert llm.complete("What is in the picture?", documents).text == said.text
        again = await llm.acomplete("What is in the picture?", image_documents=documents)
        assert again.text == said.text
        streams = [
            list(llm.stream_complete("What is in the picture?", image_documents=documents)),
            [
                response
                async for response in await llm.astream_complete(
                    "What is in the picture?", image_documents=documents
                )
            ],
        ]
        for responses in streams:
            assert "".join(response.delta for response in responses).strip() == said.text
            assert responses[-1].text == said.text

    def test_both_styles_of_giving_images_are_one(self, llm, asked, picture):
        documents = [ImageDocument(image_path=str(picture))]
        plain = [ChatMessage(role="user", content="What is in the picture?")]
        answer = llm.chat(plain, image_documents=documents)
        assert answer.message.content == llm.chat(asked).message.content
        usage = answer.raw["usage"]
        without = llm.chat(plain).raw["usage"]
        assert usage["prompt_tokens"] > without["prompt_tokens"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

    def test_a_forced_call_is_made(self, llm, asked, tool):
        response = llm.chat_with_tools([tool], chat_history=asked, tool_required=True)
        [call] = llm.get_tool_calls_from_response(response)
        assert call.tool_name == "look"
        assert call.tool_kwargs["part"] in ("left", "right")
        blocks = [b for b in response.message.blocks if isinstance(b, ToolCallBlock)]
        [openai] = response.message.additional_kwargs["tool_calls"]
        assert blocks[0].tool_call_id == openai["id"] == call.tool_id
        assert json.loads(openai["function"]["arguments"]) == call.tool_kwargs
        assert str(llm.predict_and_call([tool], chat_history=asked)).startswith(("left", "right"))

    async def test_a_streamed_call_grows(self, llm, asked, tool):
        options = {"chat_history": asked, "tool_required": True}
        sync = list(llm.stream_chat_with_tools([tool], **options))
        stream = await llm.astream_chat_with_tools([tool], **options)
        for responses in (sync, [response async for response in stream]):
            grown = [
                llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
                for response in responses
            ]
            assert all(isinstance(calls, list) and len(calls) <= 1 for calls in grown)
            [last] = grown[-1]
            assert last.tool_kwargs["part"] in ("left", "right")

    def test_no_call_is_an_empty_list(self, llm, asked):
        response = llm.chat(asked)
        assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
        with pytest.raises(ValueError, match="called no tool"):
            llm.get_tool_calls_from_response(response)

    @pytest.mark.filterwarnings("ignore:The `json` method")  # core's own
    async def test_objects_are_whole(self, llm, asked):
        prompt = ChatPromptTemplate(message_templates=asked)
        found = llm.structured_predict(Scene, prompt)
        assert isinstance(found, Scene)
        assert await llm.astructured_predict(Scene, prompt) == found
        partial = list(llm.stream_structured_predict(Scene, prompt))
        assert partial[-1] == found
        stream = await llm.astream_structured_predict(Scene, prompt)
        assert [one async for one in stream][-1] == found
        structured = llm.as_structured_llm(Scene)
        assert structured.chat(asked).raw == found
        assert list(structured.stream_chat(asked))[-1].raw == found

    def test_a_prompt_with_variables_makes_an_object(self, llm):
        prompt = PromptTemplate("A scene like {this}?")
        assert isinstance(llm.structured_predict(Scene, prompt, this='{"a": 1}'), Scene)

    def test_every_call_is_reported_once(self, llm, asked, events):
        debug = LlamaDebugHandler(print_trace_on_end=False)
        llm.callback_manager = CallbackManager([debug])
        llm.chat(asked)
        list(llm.stream_complete("Hello?"))
        assert len(debug.get_event_pairs(CBEventType.LLM)) == 2
        names = [type(event).__name__ for event in events]
        for name in ("LLMChatStartEvent", "LLMChatEndEvent", "LLMCompletionEndEvent"):
            assert names.count(name) == 1

    def test_it_can_be_written_and_read(self, llm):
        data = json.loads(json.dumps(llm.to_dict()))
        for again in (load_llm(data), type(llm).from_json(llm.to_json())):
            assert type(again) is type(llm)
            assert again.to_dict() == llm.to_dict()

    def test_it_can_be_pickled(self, llm):
        assert pickle.loads(pickle.dumps(llm)).to_dict() == llm.to_dict()
