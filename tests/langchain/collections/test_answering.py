"""From documents to answers: found by words and vectors, sorted, shown, cited."""

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, ToolMessage
from pydantic import ValidationError
from seen import loaded_fields, retriever_of, seeing

from memvr_integrations.errors import ConfigError, ImageError, MemVRWarning, RequestError
from memvr_integrations.langchain import (
    PictureRelevance,
    create_picture_retrieval_chain,
    create_picture_retriever_tool,
    pictures_prompt,
)
from memvr_integrations.langchain.messages import to_messages


@pytest.fixture
def model():
    return seeing()


@pytest.fixture
def documents(tmp_path, model):
    made = loaded_fields(tmp_path / "fields", model)
    model.engine.requests.clear()
    return made


def colors(documents):
    return [one.page_content.split()[-1].strip(".") for one in documents]


async def test_a_word_finds_its_picture(documents):
    retriever = retriever_of(documents, k=1)
    for color in ("red", "green", "blue"):
        assert colors(retriever.invoke(f"Which fields are {color}?")) == [color]
        assert colors(await retriever.ainvoke(f"Which fields are {color}?")) == [color]


def test_what_no_word_finds_is_found_by_its_vector(documents):
    retriever = retriever_of(documents, k=3)
    assert len(retriever.invoke("xylophone")) == 3  # all are near to some degree
    by_words = retriever_of(documents, k=3, vector_weight=0)
    assert len(by_words.invoke("green")) == 3
    assert colors(by_words.invoke("green"))[0] == "green"


def test_filters_hold_for_both_searches(documents):
    retriever = retriever_of(documents, k=3, keep=lambda one: "red" not in one.page_content)
    assert sorted(colors(retriever.invoke("a red field"))) == ["blue", "green"]
    with pytest.raises(ValidationError, match="search by words can't read; give keep="):
        retriever_of(documents, search_kwargs={"filter": lambda one: True})


async def test_pictures_are_sorted_by_what_the_model_sees(documents, model):
    sorting = PictureRelevance(model=model, top_n=2)
    text = Document("no picture")
    kept = sorting.compress_documents([text, *documents], "Is there a green field?")
    assert colors(kept)[0] == "green"
    assert kept[0].metadata["relevance"] > kept[1].metadata["relevance"]
    assert "relevance" not in documents[0].metadata
    again = await sorting.acompress_documents([text, *documents], "Is there a green field?")
    assert again == kept
    only = PictureRelevance(model=model, top_n=9)
    assert only.compress_documents([text, *documents], "green")[-1] is text
    asked = len(model.engine.requests)
    assert list(only.compress_documents(documents, "What is there?")) == documents
    assert len(model.engine.requests) == asked  # nothing is named


def test_it_is_a_compressor_as_others_are(documents, model):
    retriever = ContextualCompressionRetriever(
        base_compressor=PictureRelevance(model=model, top_n=1),
        base_retriever=retriever_of(documents, k=3),
    )
    assert colors(retriever.invoke("blue")) == ["blue"]


async def test_a_chain_answers_from_the_right_picture_and_cites_it(documents, model):
    chain = create_picture_retrieval_chain(model, retriever_of(documents, k=3))
    for given in ("Is a field green?", {"input": "Is a field green?"}):
        for done in (chain.invoke(given), await chain.ainvoke(given)):
            assert done["answer"] == "I see green. [1]"
            assert colors(done["context"]) == colors(done["cited"]) == ["green"]
            assert done["messages"][0].response_metadata["memvr"]["unsureness"] == 0.2
            assert (done["input"], done["left_out"]) == ("Is a field green?", [])


def test_each_picture_has_its_line(documents, model):
    chain = create_picture_retrieval_chain(model, retriever_of(documents, k=2), relevant=None)
    done = chain.invoke("A red field?")
    assert done["answer"].splitlines() == [
        f"I see {color}. [{n}]" for n, color in enumerate(colors(done["context"]), 1)
    ]
    assert len(done["cited"]) == 2


def test_together_shows_what_fits_and_says_what_does_not(documents, model, tmp_path):
    chain = create_picture_retrieval_chain(
        model, retriever_of(documents, k=3), relevant=3, mode="together"
    )
    done = chain.invoke("A red field?")
    assert done["answer"] == f"I see {', '.join(colors(done['context']))}. [1][2][3]"
    model.engine.context = 256 + 64 * 2 + 40
    with pytest.warns(MemVRWarning, match=r"1 of 3 pictures are left out, the first .*\.png: the"):
        done = chain.invoke("A red field?")
    assert len(done["context"]) == 2
    assert colors(done["left_out"])[0] not in done["answer"]
    strict = create_picture_retrieval_chain(
        model, retriever_of(documents, k=3), relevant=3, mode="together", overflow="error"
    )
    with pytest.raises(RequestError, match="3 pictures were found, and the model reads 2"):
        strict.invoke("A red field?")


def test_where_nothing_is_found_no_model_is_asked(documents, model):
    retriever = retriever_of(documents, keep=lambda one: False)
    done = create_picture_retrieval_chain(model, retriever).invoke("A red field?")
    assert done["answer"].startswith("No picture in this collection")
    assert (done["cited"], done["messages"], model.engine.requests) == ([], [], [])


def test_the_prompt_numbers_pictures_and_keeps_braces(documents, model):
    prompt = pictures_prompt(model, most=2)
    given = {"input": 'Is {"a": 1} there?', "context": documents}
    with pytest.warns(MemVRWarning, match="1 of 3 pictures are left out"):
        [message] = prompt.invoke(given)
    assert message.additional_kwargs["left_out"] == [documents[2].metadata["source"]]
    kinds = [block["type"] for block in message.content]
    assert kinds == ["text", "image", "text", "image", "text"]
    assert message.content[-1]["text"].startswith('Is {"a": 1} there?\nAnswer from')
    with pytest.warns(MemVRWarning):
        assert (prompt | model).invoke(given).text == f"I see {', '.join(colors(documents[:2]))}."


@pytest.mark.parametrize("show", [True, False])
async def test_an_agents_tool_shows_pictures_and_gives_them_as_artifacts(documents, show):
    tool = create_picture_retriever_tool(retriever_of(documents, k=1), show=show)
    call = {"type": "tool_call", "name": tool.name, "args": {"query": "red"}, "id": "c"}
    for message in (tool.invoke(call), await tool.ainvoke(call)):
        assert isinstance(message, ToolMessage)
        assert colors(message.artifact) == ["red"]
        source = documents[2].metadata["source"]
        assert message.content[0]["text"] == f"[1] A field that is red. ({source})"
        parts = to_messages([HumanMessage("?"), message])[-1].content
        assert len(parts) == 1 + show


def test_a_document_without_a_picture_and_one_that_is_gone(documents, model, tmp_path):
    chain = create_picture_retrieval_chain(
        model, retriever_of([Document("A field that is red.")]), relevant=None
    )
    with pytest.raises(RequestError, match="names no picture; its metadata needs"):
        chain.invoke("red")
    (tmp_path / "fields" / "red.png").unlink()
    with pytest.raises(ImageError, match=r"red\.png' cannot be read"):
        create_picture_retrieval_chain(model, retriever_of(documents)).invoke("red")


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"mode": "all"}, "mode='all' must be one of"),
        ({"relevant": 0}, "relevant=0 must be an integer of at least 1"),
        ({"template": "Say."}, "no place for the question"),
        ({"overflow": "drop"}, "overflow='drop' must be one of"),
        ({"retriever": None}, "retriever=None can't be used; give PictureRetriever"),
        ({"model": "bundled"}, r"give ChatMemVR\(model="),
    ],
)
def test_wrong_options_are_refused(documents, model, wrong, hint):
    options = {"model": model, "retriever": retriever_of(documents), **wrong}
    with pytest.raises(ConfigError, match=hint):
        create_picture_retrieval_chain(options.pop("model"), options.pop("retriever"), **options)


def test_a_question_that_is_none_is_refused(documents, model):
    chain = create_picture_retrieval_chain(model, retriever_of(documents))
    for wrong in ("", {}, {"input": 3}):
        with pytest.raises(RequestError, match=r'give a question, or \{"input": question\}'):
            chain.invoke(wrong)
