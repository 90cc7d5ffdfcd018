import pickle
from dataclasses import replace

import pytest
from fields import SeeingEngine, collection
from llama_index.core.base.response.schema import Response
from llama_index.core.query_engine import CustomQueryEngine

from memvr_integrations.bundled import ABSTENTION
from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.grounding.abstaining import CANNOT_TELL
from memvr_integrations.llama_index import (
    AbstainWhenUnsure,
    AbstentionError,
    MemVRMultiModalLLM,
    citations,
)
from memvr_integrations.memvr import MemVRConfig


@pytest.fixture
def index(tmp_path):
    return collection(tmp_path / "fields", SeeingEngine())


async def test_unsure_answers_are_withheld(index):
    asking = index.as_query_engine()
    unsure = asking.query("A red field?").metadata["memvr"][0]["unsureness"]
    kept = AbstainWhenUnsure(asking, threshold=unsure).query("A red field?")
    assert str(kept) == "I see red. [1]"
    assert kept.metadata["abstained"] is False
    assert kept.metadata["memvr"][0]["withheld"] is None
    other = AbstainWhenUnsure(asking, threshold=unsure / 2, answer="Pass.").query("A red field?")
    assert str(other) == "Pass."
    for response in (
        AbstainWhenUnsure(asking, threshold=unsure / 2).query("A red field?"),
        await AbstainWhenUnsure(asking, threshold=unsure / 2).aquery("A red field?"),
    ):
        assert str(response) == CANNOT_TELL
        assert response.metadata["abstained"] is True
        assert response.metadata["withheld"] == ["I see red."]
        [record] = response.metadata["memvr"]
        assert (record["abstained"], record["withheld"]) == (True, "I see red.")
        assert record["threshold"] == response.metadata["threshold"] == unsure / 2
        assert response.source_nodes
        assert not citations(response)


def test_sure_lines_stay(index):
    class Twice(CustomQueryEngine):
        def custom_query(self, query_str):
            response = index.as_query_engine(rerank_top_n=3).query(query_str)
            for record, unsure in zip(response.metadata["memvr"], (0.1, 0.9, 0.2), strict=True):
                record["unsureness"] = unsure
            return response

    first, second, third = str(Twice().query("What?")).splitlines()
    response = AbstainWhenUnsure(Twice(), threshold=0.5).query("What?")
    assert str(response) == f"{first}\n{third}"
    assert response.metadata["withheld"] == [second.removesuffix(" [2]")]
    assert [one.n for one in citations(response)] == [1, 3]


async def test_an_unsure_answer_may_be_an_error(index):
    abstaining = AbstainWhenUnsure(index.as_query_engine(), threshold=0.1, action="raise")
    with pytest.raises(AbstentionError, match=r"'I see red\.': 0\.20, above") as raised:
        abstaining.query("A red field?")
    assert raised.value.withheld == "I see red."
    assert str(raised.value.response) == "I see red. [1]"
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again)) == (AbstentionError, str(raised.value))
    with pytest.raises(AbstentionError):
        await abstaining.aquery("A red field?")


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


@pytest.mark.parametrize("stronger", [None, MemVRConfig(retracing_ratio=0.9)])
@pytest.mark.parametrize(("mode", "asked"), [("each", 1), ("together", 3)])
async def test_an_unsure_answer_may_be_asked_again(tmp_path, mode, asked, stronger):
    engine = Hesitant()
    asking = collection(tmp_path / "fields", engine).as_query_engine(rerank_top_n=3, mode=mode)
    [unsure] = [one for one in asking.query("Green?").metadata["answers"] if "green" in one]
    again = unsure if stronger else "I see grass."
    abstaining = AbstainWhenUnsure(asking, threshold=0.5, action="retry", stronger=stronger)
    for response in (abstaining.query("Green?"), await abstaining.aquery("Green?")):
        second = engine.requests[-1]
        assert (second.memvr, len(second.images)) == (stronger or HARDER, asked)
        assert again in response.metadata["answers"]
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

    asking = collection(tmp_path / "fields", Surer()).as_query_engine(rerank_top_n=3)
    response = AbstainWhenUnsure(asking, threshold=0.5, action="retry").query("A green field?")
    assert not response.metadata["abstained"]
    assert response.metadata["withheld"] == []
    place = response.metadata["answers"].index("I see grass.")
    assert str(response).splitlines()[place] == f"I see grass. [{place + 1}]"
    assert len(str(response).splitlines()) == 3


def test_the_threshold_of_a_model_that_was_measured_is_known(index):
    engine = SeeingEngine()
    engine.abstention = ABSTENTION  # an engine says what was measured on it
    bundled = MemVRMultiModalLLM(engine=engine)
    asking = index.as_query_engine(llm=bundled)
    assert AbstainWhenUnsure(asking).query("A red field?").metadata["threshold"] == ABSTENTION
    with pytest.raises(ConfigError, match="No threshold was measured for 'scripted'"):
        AbstainWhenUnsure(index.as_query_engine())
    scripted = index.as_query_engine(llm=MemVRMultiModalLLM(model="bundled", engine=SeeingEngine()))
    with pytest.raises(ConfigError, match="No threshold was measured for 'scripted'"):
        AbstainWhenUnsure(scripted)


def test_who_cannot_be_asked_again_is_refused(index):
    class Other(CustomQueryEngine):
        def custom_query(self, query_str):
            raise AssertionError

    with pytest.raises(ConfigError, match="action='retry' can't ask a Other"):
        AbstainWhenUnsure(Other(), threshold=0.5, action="retry")
    with pytest.raises(ConfigError, match="action='ask' must be one of"):
        AbstainWhenUnsure(index.as_query_engine(), threshold=0.5, action="ask")


def test_what_cannot_be_judged_is_refused(index):
    with pytest.raises(ConfigError, match="threshold=2"):
        AbstainWhenUnsure(index.as_query_engine(), threshold=2)
    with pytest.raises(RequestError, match="without streaming"):
        AbstainWhenUnsure(index.as_query_engine(streaming=True), threshold=0.5).query(
            "A red field?"
        )

    class Silent(CustomQueryEngine):
        def custom_query(self, query_str):
            return Response("Yes.", source_nodes=index.as_retriever().retrieve("red"))

    with pytest.raises(RequestError, match="how unsure the model was"):
        AbstainWhenUnsure(Silent(), threshold=0.5).query("?")


def test_only_query_engines_are_taken(index):
    with pytest.raises(ConfigError, match=r"query_engine=.* give index\.as_query_engine\(\)"):
        AbstainWhenUnsure(index, threshold=0.5)
    with pytest.raises(ConfigError, match=r"no option 'treshold'\. Did you mean 'threshold'"):
        AbstainWhenUnsure(index.as_query_engine(), treshold=0.5)
