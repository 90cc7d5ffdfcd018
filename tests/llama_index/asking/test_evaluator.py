import warnings

import pytest
from fields import SeeingEngine, collection
from llama_index.core.base.response.schema import Response
from llama_index.core.evaluation import BatchEvalRunner
from llama_index.core.schema import ImageDocument, NodeWithScore
from scripted_engine import text_of

from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.llama_index import GroundingEvaluator


@pytest.fixture
def engine():
    return SeeingEngine()


@pytest.fixture
def index(tmp_path, engine):
    return collection(tmp_path / "fields", engine)


async def test_an_answer_is_judged_by_its_images(index, engine):
    judge = GroundingEvaluator(index.llm)
    response = index.as_query_engine().query("A red field?")
    engine.requests.clear()
    result = judge.evaluate_response(query="Which color?", response=response)
    assert result.passing
    assert result.score > 0.9
    [asked] = engine.requests
    assert "Answer: I see red.\n" in text_of(asked.messages[-1])  # without its mark
    wrong = Response("I see blue. [1]", source_nodes=response.source_nodes)
    result = await judge.aevaluate_response(query="Which color?", response=wrong)
    assert not result.passing
    assert result.score < 0.1


def test_one_image_that_bears_it_out_is_enough(index, engine):
    response = index.as_query_engine(rerank_top_n=3).query("A red field?")
    engine.requests.clear()
    uncited = Response("It is blue.", source_nodes=response.source_nodes)
    result = GroundingEvaluator(index.llm).evaluate_response(query="?", response=uncited)
    assert result.passing
    assert len(engine.requests) == 3
    engine.requests.clear()
    result = GroundingEvaluator(index.llm).evaluate_response(query="?", response=response)
    assert len(engine.requests) == 3  # each answer by its own image
    assert result.passing
    response.metadata["answers"][1] = "I see nothing."
    result = GroundingEvaluator(index.llm).evaluate_response(query="?", response=response)
    assert not result.passing
    engine.requests.clear()
    one = Response(str(response).splitlines()[0], source_nodes=response.source_nodes)
    GroundingEvaluator(index.llm).evaluate_response(query="?", response=one)
    assert len(engine.requests) == 1  # the cited one alone


async def test_it_runs_in_cores_batch_runner(index):
    response = index.as_query_engine().query("A red field?")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # core calls what it deprecates
        runner = BatchEvalRunner({"grounded": GroundingEvaluator(index.llm)}, workers=2)
        responses = [response, Response("Nothing."), response]
        results = await runner.aevaluate_responses(queries=["?"] * 3, responses=responses)
    assert [result.passing for result in results["grounded"]] == [True, None, True]
    assert results["grounded"][1].invalid_result


def test_bad_input_is_refused(index):
    with pytest.raises(ConfigError, match="threshold=2"):
        GroundingEvaluator(index.llm, threshold=2)
    with pytest.raises(RequestError, match="and images"):
        GroundingEvaluator(index.llm).evaluate(query="?", response="Yes.", contexts=["words"])


async def test_streams_and_documents_are_judged(index, engine, tmp_path):
    judge = GroundingEvaluator(index.llm)
    whole = index.as_query_engine().query("A red field?")
    asking = index.as_query_engine(streaming=True)
    stream = asking.query("A red field?")
    assert "".join(stream.response_gen)
    for streamed in (stream, await asking.aquery("A red field?")):
        result = await judge.aevaluate_response(query="Which color?", response=streamed)
        assert result.response == str(whole)
        assert result.passing
    each = index.as_query_engine(rerank_top_n=3, streaming=True).query("A red field?")
    whole = index.as_query_engine(rerank_top_n=3).query("A red field?")
    engine.requests.clear()
    judge.evaluate_response(query="?", response=each)  # not read yet
    judge.evaluate_response(query="?", response=whole)
    asked = [text_of(one.messages[-1]) for one in engine.requests]
    judged = [text for text in asked if "Answer: " in text]
    assert len(judged) == 6
    assert judged[:3] == judged[3:]
    path = tmp_path / "fields" / "red.png"
    nodes = [NodeWithScore(node=ImageDocument(image_path=str(path)))]
    result = judge.evaluate_response(query="?", response=Response("It is red.", source_nodes=nodes))
    assert result.passing


def test_options_are_known(index):
    judge = GroundingEvaluator(index.llm)
    with pytest.raises(ConfigError, match=r"no option 'treshold'"):
        judge.evaluate(query="?", response="Red.", images=["x"], treshold=0.9)
    with pytest.raises(ConfigError, match=r"no option 'treshold'\. Did you mean 'threshold'"):
        GroundingEvaluator(index.llm, treshold=0.9)
    with pytest.raises(ConfigError, match=r"threshold='\.5' must be a finite number from 0 to 1"):
        GroundingEvaluator(index.llm, threshold=".5")
    with pytest.raises(ConfigError, match="llm='bundled' can't be used"):
        GroundingEvaluator("bundled")
