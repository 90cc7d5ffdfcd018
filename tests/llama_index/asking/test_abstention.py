"""A collection's answers that the model was too unsure of are left out."""

from dataclasses import replace

import pytest
from fields import SeeingEngine, collection

from memvr_integrations.bundled import ABSTENTION
from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding import CANNOT_TELL, Abstaining
from memvr_integrations.llama_index import AbstentionError, MemVRMultiModalLLM, citations
from memvr_integrations.memvr import MemVRConfig


@pytest.fixture
def index(tmp_path):
    return collection(tmp_path / "fields", SeeingEngine())


def careful(index, abstain, engine=None):
    return MemVRMultiModalLLM(engine=engine or index.llm.engine, abstain=abstain)


@pytest.mark.parametrize("mode", ["each", "together"])
async def test_unsure_answers_are_withheld(index, mode):
    def asking(abstain):
        return index.as_query_engine(llm=careful(index, abstain), mode=mode)

    unsure = asking(None).query("A red field?").metadata["memvr"][0]["unsureness"]
    kept = asking(unsure).query("A red field?")
    assert str(kept) == "I see red. [1]"
    assert (kept.metadata["abstained"], kept.metadata["withheld"]) == (False, [])
    assert kept.metadata["memvr"][0]["withheld"] is None
    other = asking(Abstaining(threshold=unsure / 2, answer="Pass.")).query("A red field?")
    assert str(other) == "Pass."
    engine = asking(unsure / 2)
    for response in (engine.query("A red field?"), await engine.aquery("A red field?")):
        assert str(response) == CANNOT_TELL
        assert response.metadata["abstained"] is True
        assert response.metadata["withheld"] == ["I see red."]
        [record] = response.metadata["memvr"]
        assert (record["abstained"], record["withheld"]) == (True, "I see red.")
        assert record["threshold"] == unsure / 2
        assert response.source_nodes
        assert not citations(response)


@pytest.mark.parametrize("mode", ["each", "together"])
async def test_streams_wait_for_the_answer_and_cite_nothing(index, mode):
    engine = index.as_query_engine(llm=careful(index, 0.1), mode=mode, streaming=True)
    response = engine.query("A red field?")
    assert list(response.response_gen) == [CANNOT_TELL, ""]
    assert response.metadata["withheld"] == ["I see red."]
    assert response.metadata["abstained"] is True
    streamed = await engine.aquery("A red field?")
    assert [piece async for piece in streamed.async_response_gen()] == [CANNOT_TELL, ""]
    chat = index.as_chat_engine(llm=careful(index, 0.1), mode=mode)
    assert str(chat.chat("A red field?")) == CANNOT_TELL
    assert "".join(chat.stream_chat("A blue field?").response_gen) == CANNOT_TELL


USED = MemVRConfig(retracing_ratio=0.2)
HARDER = replace(USED, entropy_threshold=0.375, retracing_ratio=0.4)


class Hesitant(SeeingEngine):
    """Unsure about green fields; of one that is retraced harder it says so."""

    def _completion(self, request):
        done = super()._completion(request)
        unsure = 0.9 if "green" in done.text else 0.2
        text = "I see grass." if request.memvr == HARDER else done.text
        tokens = tuple(replace(token, output_entropy=unsure) for token in done.tokens)
        return replace(done, text=text, tokens=tokens, memvr=USED)


@pytest.mark.parametrize("action", ["answer", "raise"])
def test_sure_lines_stay(tmp_path, action):
    index = collection(tmp_path / "fields", Hesitant())
    every = index.as_query_engine(rerank_top_n=3).query("What?")
    lines = str(every).splitlines()
    [at] = [n for n, line in enumerate(lines) if "green" in line]
    llm = careful(index, Abstaining(threshold=0.5, action=action))
    response = index.as_query_engine(rerank_top_n=3, llm=llm).query("What?")
    assert str(response).splitlines() == [line for n, line in enumerate(lines) if n != at]
    assert response.metadata["withheld"] == ["I see green."]
    assert response.metadata["abstained"] is False
    assert [one.n for one in citations(response)] == [n + 1 for n in range(3) if n != at]


async def test_an_unsure_answer_may_be_an_error(index):
    llm = careful(index, Abstaining(threshold=0.1, action="raise"))
    asking = index.as_query_engine(llm=llm)
    with pytest.raises(AbstentionError, match=r"'I see red\.': 0\.20, above") as raised:
        asking.query("A red field?")
    assert raised.value.withheld == raised.value.response.text == "I see red."
    with pytest.raises(AbstentionError):
        await asking.aquery("A red field?")


@pytest.mark.parametrize("stronger", [None, MemVRConfig(retracing_ratio=0.9)])
@pytest.mark.parametrize(("mode", "asked"), [("each", 1), ("together", 3)])
async def test_an_unsure_answer_may_be_asked_again(tmp_path, mode, asked, stronger):
    engine = Hesitant()
    index = collection(tmp_path / "fields", engine)
    plain = index.as_query_engine(rerank_top_n=3, mode=mode)
    [unsure] = [one for one in plain.query("Green?").metadata["answers"] if "green" in one]
    again = unsure if stronger else "I see grass."
    llm = careful(index, Abstaining(threshold=0.5, action="retry", stronger=stronger))
    asking = index.as_query_engine(rerank_top_n=3, mode=mode, llm=llm)
    for response in (asking.query("Green?"), await asking.aquery("Green?")):
        second = engine.requests[-1]
        assert (second.memvr, len(second.images)) == (stronger or HARDER, asked)
        assert response.metadata["withheld"] == [again]  # as unsure as before
        assert len(response.source_nodes) == 3


def test_an_answer_that_is_sure_after_all_is_given(tmp_path):
    class Surer(Hesitant):
        def _completion(self, request):
            done = super()._completion(request)
            if request.memvr is True:
                return done
            sure = (replace(token, output_entropy=0.1) for token in done.tokens)
            return replace(done, tokens=tuple(sure))

    index = collection(tmp_path / "fields", Surer())
    llm = careful(index, Abstaining(threshold=0.5, action="retry"))
    response = index.as_query_engine(rerank_top_n=3, llm=llm).query("A green field?")
    assert not response.metadata["abstained"]
    assert response.metadata["withheld"] == []
    place = response.metadata["answers"].index("I see grass.")
    assert str(response).splitlines()[place] == f"I see grass. [{place + 1}]"
    assert len(str(response).splitlines()) == 3


def test_the_threshold_of_a_model_that_was_measured_is_known(index):
    engine = SeeingEngine()
    engine.abstention = ABSTENTION  # an engine says what was measured on it
    asking = index.as_query_engine(llm=careful(index, True, engine))
    assert asking.query("A red field?").metadata["memvr"][0]["threshold"] == ABSTENTION
    with pytest.raises(ConfigError, match="No threshold was measured for 'scripted'"):
        index.as_query_engine(llm=careful(index, True)).query("A red field?")


def test_captions_are_never_withheld(tmp_path):
    engine = SeeingEngine()
    engine.abstention = 0.0
    index = collection(tmp_path / "fields", engine, abstain=True)
    assert all(CANNOT_TELL not in node.text for node in index.as_retriever().retrieve("red"))
