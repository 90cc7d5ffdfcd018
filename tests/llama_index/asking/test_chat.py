"""Chat over a collection, on an engine that sees colours."""

import asyncio
import gc
import weakref

import pytest
from fields import SeeingEngine, collection
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.llms import MockLLM
from scripted_engine import text_of

from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.llama_index import ImageChatEngine, MemVRMultiModalLLM, citations
from memvr_integrations.llama_index.asking.chat import _NOTED, refers_back
from memvr_integrations.llama_index.asking.synthesizer import ImageSynthesizer


class Nothing(BaseRetriever):
    """Finds no image."""

    def _retrieve(self, query_bundle):
        return []


@pytest.fixture
def engine():
    return SeeingEngine()


@pytest.fixture
def chat(tmp_path, engine):
    return collection(tmp_path / "fields", engine).as_chat_engine(system_prompt="Be brief.")


def cited(response):
    return [(one.n, one.caption) for one in citations(response)]


async def test_a_conversation(chat, engine):
    first = chat.chat("Where is the green field?")
    assert str(first) == "I see green. [1]"
    assert cited(first) == [(1, "A field that is green.")]
    asked = engine.requests[-1]
    assert [message.role for message in asked.messages] == ["system", "user"]
    second = await chat.achat("What colour is it?")  # it: the same picture
    assert cited(second) == cited(first)
    history = [text_of(message) for message in engine.requests[-1].messages]
    assert history[:3] == ["Be brief.", "Where is the green field?", "I see green. [1]"]
    third = await chat.achat("And the blue field?")
    assert cited(third) == [(1, "A field that is blue.")]
    assert len(chat.chat_history) == 6
    chat.reset()
    assert not chat.chat_history
    chat.chat("What colour is it?")  # nothing was said before
    assert [message.role for message in engine.requests[-1].messages] == ["system", "user"]


async def test_streams_say_and_remember_the_same(chat):
    stream = chat.stream_chat("A red field?")
    assert "".join(stream.response_gen) == "I see red. [1]"
    assert cited(stream) == [(1, "A field that is red.")]
    astream = await chat.astream_chat("And the blue field?")
    pieces = [piece async for piece in astream.async_response_gen()]
    assert "".join(pieces) == "I see blue. [1]"
    contents = [message.content for message in chat.chat_history]
    assert contents == ["A red field?", "I see red. [1]", "And the blue field?", "I see blue. [1]"]


async def test_another_history_is_another_conversation(chat):
    green = cited(chat.chat("Where is the green field?"))
    assert cited(chat.chat("What colour is it?")) == green
    engine = chat._llm.engine
    engine.requests.clear()
    await chat.achat("Is it blue?", chat_history=[])
    assert len(engine.requests) > 1  # it looked for pictures again


def test_a_stream_has_to_be_read_before_its_citations(chat):
    stream = chat.stream_chat("A red field?")
    if not stream.is_done:
        with pytest.raises(RequestError, match="not read to its end"):
            citations(stream)
    assert "".join(stream.response_gen)
    assert citations(stream)


def test_answers_say_how_unsure_the_model_was(chat):
    metadata = chat.chat("A red field?").metadata
    assert metadata["answers"] == ["I see red."]
    assert metadata["memvr"][0]["unsureness"] > 0
    assert metadata["left_out"] == []


def test_the_llm_keeps_its_callbacks(chat):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    llm = chat._llm
    llm.callback_manager = CallbackManager([handler])
    made = ImageChatEngine(chat._retriever, llm=llm)
    made.chat("A red field?")
    assert llm.callback_manager.handlers == [handler]
    assert handler.get_event_pairs(CBEventType.LLM)


def test_what_follows_up_can_be_chosen(chat):
    never = ImageChatEngine(chat._retriever, llm=chat._llm, follows_up=lambda message: False)
    first = cited(never.chat("Where is the green field?"))
    assert cited(never.chat("And it is blue?")) != first
    with pytest.raises(ConfigError, match="MockLLM is no chat model"):
        ImageChatEngine(chat._retriever, llm=MockLLM())


@pytest.mark.parametrize(
    "message",
    ["What colour is it?", "Are THEY big?", "Tell me about those", "What about this?"],
)
def test_pronouns_refer_back(message):
    assert refers_back(message)


@pytest.mark.parametrize(
    "message",
    [
        "Where is the item?",
        "Is there a hen in that barn?",
        "Is there a fork, and is it next to a knife?",
        "Which picture has a cat with its kitten?",
        "Is it raining in any picture?",
        "",
    ],
)
def test_other_words_do_not(message):
    assert not refers_back(message)


async def test_tasks_that_share_an_engine_get_their_own_metadata(chat, engine):
    async def slowly(request, real=engine.agenerate):
        for _ in range(5):
            await asyncio.sleep(0)
        return await real(request)

    engine.agenerate = slowly
    colors = ("red", "green", "blue")
    responses = await asyncio.gather(*(chat.achat(f"A {color} field?") for color in colors))
    for color, response in zip(colors, responses, strict=True):
        assert response.metadata["answers"] == [f"I see {color}."]
        assert str(response) == f"I see {color}. [1]"


async def test_streams_have_metadata(chat):
    whole = chat.chat("A red field?").metadata
    stream = chat.stream_chat("A red field?")
    assert "".join(stream.response_gen)
    astream = await chat.astream_chat("A red field?")
    assert [piece async for piece in astream.async_response_gen()]
    assert whole["answers"] == stream.metadata["answers"] == astream.metadata["answers"]
    records = [said["memvr"] for said in (whole, stream.metadata, astream.metadata)]
    for [one] in records:  # later ones are longer by what was said before
        assert one.pop("prompt_tokens") > 0
    assert records[0] == records[1] == records[2]


async def test_a_call_keeps_nothing_of_what_answered():
    """The model leaves the memory with the last who uses it, and this task goes on."""

    def made():
        engine = SeeingEngine()
        llm = MemVRMultiModalLLM(model="scripted", engine=engine)
        return ImageChatEngine(Nothing(), llm=llm), [weakref.ref(engine), weakref.ref(llm)]

    chat, refs = made()
    chat.chat("hi")
    await chat.achat("hi")
    stream, astream = chat.stream_chat("hi"), await chat.astream_chat("hi")
    assert list(stream.response_gen)
    assert [piece async for piece in astream.async_response_gen()]
    del chat, stream, astream
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


async def test_a_call_that_fails_keeps_nothing_either(chat, engine):
    def fails(request):
        raise RequestError("no")

    engine._script = fails
    with pytest.raises(RequestError, match="no"):
        chat.chat("A red field?")
    assert _NOTED.get() is None


async def test_two_engines_in_one_task_share_no_metadata(chat):
    class Other(ImageChatEngine):
        def _get_response_synthesizer(self, chat_history, streaming=False):
            return ImageSynthesizer(llm=self._llm, streaming=streaming)

    other = Other(chat._retriever, llm=chat._llm)  # its synthesizer is its own
    assert chat.chat("A red field?").metadata["answers"] == ["I see red."]
    assert other.chat("A blue field?").metadata is None
    assert (await other.achat("A blue field?")).metadata is None
    assert other.stream_chat("A blue field?").metadata is None
    assert (await other.astream_chat("A blue field?")).metadata is None


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"memory": "x"}, "memory='x' can't be used"),
        ({"system_prompt": 5}, "system_prompt=5 can't be used"),
        ({"follows_up": "x"}, "follows_up='x' can't be used; give a function"),
        ({"sytem_prompt": "x"}, "no option 'sytem_prompt'. Did you mean 'system_prompt'"),
    ],
)
def test_wrong_options_are_refused(tmp_path, engine, wrong, hint):
    with pytest.raises(ConfigError, match=hint):
        collection(tmp_path / "fields", engine).as_chat_engine(**wrong)
