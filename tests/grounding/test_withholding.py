"""What becomes of answers that a model was too unsure of, whatever asks for them."""

import json
from dataclasses import replace

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import AbstentionError
from memvr_integrations.grounding import CANNOT_TELL, Abstaining
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.types import TokenRecord
from memvr_integrations.types.tools import ToolCall


class Unsure(ScriptedEngine):
    """Writes what it is given, unsure of some words."""

    def __init__(self, answer, *unsure):
        super().__init__(answer if callable(answer) else lambda request: answer)
        self.unsure = unsure

    def _completion(self, request):
        done = super()._completion(request)
        text = done.text or "".join(
            f'<tool_call>{{"name": "{call.name}", "arguments": {call.arguments}}}</tool_call>'
            for call in done.tool_calls
        )
        pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
        tokens, at = [], 0
        for piece in pieces:
            spans = ((text.index(one), text.index(one) + len(one)) for one in self.unsure)
            touched = any(start < at + len(piece) and at < end for start, end in spans)
            at += len(piece)
            entropy = 0.8 if touched else 0.1
            tokens.append(TokenRecord(id=0, text=piece, logprob=-0.1, output_entropy=entropy))
        return replace(done, tokens=tuple(tokens))


class Animal(BaseModel):
    name: str
    color: str | None = None


ANIMAL = json.dumps({"name": "cow", "color": "purple"})


def test_an_unsure_field_becomes_none():
    engine = Unsure(ANIMAL, "purple")
    chat = ChatMemVR(engine=engine, abstain=0.5)
    assert chat.with_structured_output(Animal).invoke("?") == Animal(name="cow")
    raw = chat.with_structured_output(Animal, include_raw=True).invoke("?")["raw"]
    record = raw.response_metadata["memvr"]
    assert record["withheld_fields"] == [
        {"field": "/color", "value": "purple", "unsureness": 0.8},
    ]
    assert (record["abstained"], record["withheld"]) == (True, ANIMAL)
    llm = MemVRMultiModalLLM(engine=engine, abstain=0.5)
    assert llm.as_structured_llm(Animal).complete("?").raw == Animal(name="cow")
    sure = ChatMemVR(engine=Unsure(ANIMAL, '{"name"'), abstain=0.5).with_structured_output(Animal)
    assert sure.invoke("?") == Animal(name="cow", color="purple")  # names are the schema's


async def test_a_field_that_can_not_be_none_is_an_error():
    engine = Unsure(ANIMAL, "cow")
    for model in (ChatMemVR, MemVRMultiModalLLM):
        asked = model(engine=engine, abstain=0.5)
        if model is ChatMemVR:
            ask = asked.with_structured_output(Animal).ainvoke
        else:
            ask = asked.as_structured_llm(Animal).acomplete
        with pytest.raises(AbstentionError, match="unsure of its answer") as raised:
            await ask("?")
        assert raised.value.withheld == ANIMAL


CALLS = [ToolCall(id="call_1", name="zoom", arguments=json.dumps({"part": "left", "by": 3}))]


@pytest.mark.parametrize(("word", "ran"), [("left", []), ("zoom", [("left", 3)])])
async def test_a_call_with_unsure_arguments_never_reaches_its_tool(word, ran):
    seen = []

    @tool
    def zoom(part: str, by: int) -> str:
        """Zoom into a part of the picture."""
        seen.append((part, by))
        return "done"

    def script(request):
        return "Done." if request.messages[-1].role == "tool" else CALLS

    engine = Unsure(script, word)
    plain = engine._completion

    def completion(request):
        engine.unsure = () if request.messages[-1].role == "tool" else (word,)
        return plain(request)

    engine._completion = completion
    agent = create_agent(ChatMemVR(engine=engine, abstain=0.5), [zoom])
    for streamed in (False, True):
        asked = {"messages": [HumanMessage("Zoom in.")]}
        if streamed:
            states = [state async for state in agent.astream(asked, stream_mode="values")]
            last = states[-1]["messages"][-1]
        else:
            last = agent.invoke(asked)["messages"][-1]
        assert last.text == ("Done." if ran else CANNOT_TELL)
    assert seen == ran * 2
    if not ran:
        [withheld] = last.response_metadata["memvr"]["withheld_tool_calls"]
        assert withheld == {"name": "zoom", "args": {"part": "left", "by": 3}, "id": "call_1"}


async def test_a_stream_is_held_back_until_it_is_judged():
    engine = Unsure("A cow and a dragon.", "dragon")
    careful = ChatMemVR(engine=engine, abstain=0.5)
    chunks = list(careful.stream("?"))
    assert "".join(chunk.text for chunk in chunks) == CANNOT_TELL
    assert "".join([chunk.text async for chunk in careful.astream("?")]) == CANNOT_TELL
    sure = ChatMemVR(engine=engine, abstain=0.9)
    given = list(sure.stream("?"))
    assert [chunk.text for chunk in given] == [
        chunk.text for chunk in ChatMemVR(engine=engine).stream("?")
    ]
    whole = sum(given[1:], given[0])
    assert whole.response_metadata["memvr"]["abstained"] is False
    with pytest.raises(AbstentionError):
        list(careful.stream("?", abstain=Abstaining(threshold=0.5, action="raise")))
    llm = MemVRMultiModalLLM(engine=engine, abstain=0.5)
    assert [one.delta for one in llm.stream_complete("?")] == [CANNOT_TELL]
    assert [one.delta async for one in await llm.astream_complete("?")] == [CANNOT_TELL]


def test_each_of_several_answers_is_judged(backend, scenes):
    several = ChatMemVR(engine=backend, abstain=0.0, n=2, temperature=1.0, seed=1)
    result = several.generate([[HumanMessage("Say something.")]]).generations[0]
    assert [one.text for one in result] == [CANNOT_TELL] * 2


def test_a_cached_answer_is_judged_by_its_own_rule():
    from langchain_core.caches import InMemoryCache

    engine, cache = Unsure("A dragon.", "dragon"), InMemoryCache()
    texts = [
        ChatMemVR(engine=engine, cache=cache, abstain=abstain).invoke("?").text
        for abstain in (None, 0.5, 0.9, 0.5)
    ]
    assert texts == ["A dragon.", CANNOT_TELL, "A dragon.", CANNOT_TELL]
    assert len(engine.requests) == 3
