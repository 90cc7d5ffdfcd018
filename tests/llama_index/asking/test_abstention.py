import pytest
from fields import SeeingEngine, collection
from llama_index.core.base.response.schema import Response
from llama_index.core.query_engine import CustomQueryEngine

from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.llama_index import AbstainWhenUnsure, citations
from memvr_integrations.llama_index.asking.abstention import CANNOT_TELL


@pytest.fixture
def index(tmp_path):
    return collection(tmp_path / "fields", SeeingEngine())


async def test_unsure_answers_are_withheld(index):
    asking = index.as_query_engine()
    unsure = asking.query("A red field?").metadata["memvr"][0]["unsureness"]
    kept = AbstainWhenUnsure(asking, threshold=unsure).query("A red field?")
    assert str(kept) == "I see red. [1]"
    assert kept.metadata["abstained"] is False
    for response in (
        AbstainWhenUnsure(asking, threshold=unsure / 2).query("A red field?"),
        await AbstainWhenUnsure(asking, threshold=unsure / 2).aquery("A red field?"),
    ):
        assert str(response) == CANNOT_TELL
        assert response.metadata["abstained"] is True
        assert response.metadata["withheld"] == ["I see red."]
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
