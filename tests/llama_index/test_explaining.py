"""`MemVRMultiModalLLM.explain`: the answer of `chat`, with maps."""

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.schema import ImageDocument

from memvr_integrations.errors import RequestError
from memvr_integrations.explain import ExplainConfig
from memvr_integrations.llama_index import MemVRMultiModalLLM


async def test_the_answer_is_that_of_chat(backend, scene_file):
    llm = MemVRMultiModalLLM(engine=backend, max_tokens=3)
    messages = [ChatMessage("Is there a dog in the picture?")]
    shown = [ImageDocument(image_path=str(scene_file))]
    config = ExplainConfig(second=False, compare=False)
    said = llm.chat(messages, image_documents=shown).message.content
    explanation = llm.explain(messages, shown, config=config)
    assert explanation.answer == said
    assert explanation.box() is None or len(explanation.box()) == 4
    again = await llm.aexplain(messages, shown, config=config)
    assert again.answer == said


async def test_a_given_answer_is_explained_as_it_is(backend, scene_file, monkeypatch):
    llm = MemVRMultiModalLLM(engine=backend, max_tokens=3)
    messages = [ChatMessage("Is there a dog in the picture?")]
    shown = [ImageDocument(image_path=str(scene_file))]
    config = ExplainConfig(second=False, compare=False)
    said = llm.chat(messages, image_documents=shown)
    whole = llm.complete(messages[0].content, image_documents=shown)
    [*_, streamed] = llm.stream_chat(messages, image_documents=shown)
    assert said.additional_kwargs["memvr"]["explain"] == "explain(messages, answer=answer)"
    assert said.raw["choices"][0]["memvr"]["explain"] == "explain(messages, answer=answer)"
    own = llm.explain(messages, shown, config=config)
    monkeypatch.setattr(backend, "generate", lambda *asked: pytest.fail("it was asked anew"))
    for one in (said, whole, streamed):
        explanation = llm.explain(messages, shown, answer=one, config=config)
        assert explanation.to_dict() == own.to_dict()
    again = await llm.aexplain(messages, shown, answer=said, config=config)
    assert again.answer == said.message.content


def test_an_answer_without_a_record_is_refused(backend, scene_file):
    llm = MemVRMultiModalLLM(engine=backend, max_tokens=3)
    shown = [ImageDocument(image_path=str(scene_file))]
    for other in (ChatResponse(message=ChatMessage("Yes")), CompletionResponse(text="Yes")):
        with pytest.raises(RequestError, match="'Yes' has no record"):
            llm.explain([ChatMessage("Well?")], shown, answer=other)
