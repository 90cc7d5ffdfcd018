"""`MemVRMultiModalLLM.explain`: the answer of `chat`, with maps."""

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import ImageDocument

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
