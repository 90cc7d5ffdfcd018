"""What MemVRMultiModalLLM refuses, so that no image and no option is dropped in silence."""

from pathlib import Path

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from pydantic import BaseModel, ValidationError
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import ConfigError, ImageError, RequestError
from memvr_integrations.llama_index import MemVRMultiModalLLM, image_block
from memvr_integrations.types.image_policy import ImagePolicy


class Scene(BaseModel):
    """What a picture shows."""

    place: str


@pytest.fixture
def engine():
    return ScriptedEngine()


@pytest.fixture
def llm(engine):
    return MemVRMultiModalLLM(model="scripted", engine=engine)


PROMPT = PromptTemplate("What is it, {who}?")


async def test_images_of_objects_are_seen(llm, engine, scene_file):
    shown = {"image_documents": [scene_file], "who": "Ana"}
    llm.structured_predict(Scene, PROMPT, **shown)
    await llm.astructured_predict(Scene, PROMPT, **shown)
    assert list(llm.stream_structured_predict(Scene, PROMPT, **shown))
    stream = await llm.astream_structured_predict(Scene, PROMPT, **shown)
    assert [one async for one in stream]
    given = {"llm_kwargs": {"image_documents": [scene_file]}, "who": "Ana"}
    llm.structured_predict(Scene, PROMPT, **given)
    block = ChatPromptTemplate(
        message_templates=[ChatMessage(role="user", blocks=[image_block(scene_file)])]
    )
    llm.structured_predict(Scene, block)
    assert [len(request.images) for request in engine.requests] == [1] * 6
    with pytest.raises(RequestError, match="images once"):
        llm.structured_predict(Scene, PROMPT, **given, image_documents=[scene_file])


@pytest.mark.parametrize(
    "dropped", [{"images": [Path("a.png")]}, {"picture": Path("a.png")}, {"image": "a.png"}]
)
def test_pictures_without_a_place_are_refused(llm, dropped):
    name = next(iter(dropped))
    with pytest.raises(RequestError, match=f"no place for {name}=.*image_documents="):
        llm.structured_predict(Scene, PROMPT, who="Ana", **dropped)
    with pytest.raises(RequestError, match=f"no place for {name}="):
        llm.predict(PROMPT, who="Ana", **dropped)
    assert llm.predict(PROMPT, who="Ana", unused="a text, which core ignores too")


def test_objects_grow(engine):
    class Found(BaseModel):
        place: str
        animal: str
        count: int

    engine._script = lambda request: '{ "place" : "farm" , "animal" : "cow" , "count" : 3 }'
    llm = MemVRMultiModalLLM(model="scripted", engine=engine)
    grown = [one.model_dump() for one in llm.stream_structured_predict(Found, PROMPT, who="Ana")]
    known = [sum(value is not None for value in one.values()) for one in grown]
    assert known == sorted(known)
    assert grown[-1] == {"place": "farm", "animal": "cow", "count": 3}
    assert grown.count(grown[-1]) == 1


@pytest.mark.parametrize("answers", ["Yes", ["Yes"], []])
async def test_a_probability_needs_answers_to_choose_from(llm, engine, answers):
    with pytest.raises(RequestError, match="two or more different texts"):
        llm.probability("Is it?", answers=answers)
    with pytest.raises(RequestError, match="two or more different texts"):
        await llm.aprobability("Is it?", answers=answers)
    assert not engine.requests


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("image", "image_documents"),
        ("images", "image_documents"),
        ("image_document", "image_documents"),
        ("temprature", "temperature"),
        ("api_key", None),
    ],
)
def test_what_was_meant_is_guessed_well(llm, given, meant):
    with pytest.raises(ConfigError, match=f"no option '{given}'") as refused:
        llm.complete("Hi", **{given: 1})
    assert str(refused.value).endswith(f" Did you mean '{meant}'?" if meant else f"'{given}'.")


@pytest.mark.parametrize(
    "wrong",
    [
        {"context_window": -5},
        {"context_window": True},
        {"max_tokens": True},
        {"max_tokens": "4"},
        {"temperature": True},
        {"callback_manager": "x"},
        {"engine": "bundled"},
        {"image_policy": "no"},
    ],
)
def test_values_of_another_kind_are_refused(wrong):
    name = next(iter(wrong))
    with pytest.raises(ValidationError, match=name):
        MemVRMultiModalLLM(**wrong)


def test_what_users_write_is_taken(scene_file):
    llm = MemVRMultiModalLLM(
        model=scene_file.parent, stop="dog", image_policy={"image_dirs": [str(scene_file.parent)]}
    )
    assert llm.model == str(scene_file.parent)
    assert llm.stop == ("dog",)
    assert llm.image_policy == ImagePolicy(image_dirs=[scene_file.parent])
    assert MemVRMultiModalLLM(stop=["a", "b"]).stop == ("a", "b")
    again = MemVRMultiModalLLM.from_json(llm.to_json())
    assert again.to_dict() == llm.to_dict()
    assert again.image_policy == llm.image_policy
    assert "class_name" in llm.to_dict()  # core's own, and no option of a class


CALLS = [
    (lambda llm: llm.chat([{"role": "user", "content": "Hi"}]), "messages holds a dict"),
    (lambda llm: llm.count_tokens("Hi"), "messages='Hi' is no list"),
    (lambda llm: llm.complete(None), "prompt is a NoneType"),
    (lambda llm: llm.chat(HELLO, tools=["a"]), "tool 'a' is not in OpenAI's form"),
    (lambda llm: llm.chat(HELLO, response_format=int), "response_format=int is no class of pyd"),
    (lambda llm: llm.structured_predict(int, PROMPT, who="x"), "output_cls=.* no class of pydan"),
    (lambda llm: llm.chat_with_tools([print], "Hi"), r"FunctionTool\.from_defaults"),
    (lambda llm: llm.chat_with_tools([], "Hi", tool_required=True), "needs tools"),
    (
        lambda llm: llm.chat_with_tools([], "Hi", tool_choice={"type": "x"}),
        "'x' is none of",
    ),
    (
        lambda llm: llm.chat_with_tools([], "Hi", tool_choice={"name": "zoom"}),
        "'zoom' is none of",
    ),
]
HELLO = [ChatMessage(content="Hi")]


@pytest.mark.parametrize(("call", "match"), CALLS)
def test_calls_that_cannot_be_answered_are_refused(llm, call, match):
    with pytest.raises(RequestError, match=match):
        call(llm)


def test_garbage_is_no_image(llm):
    with pytest.raises((ImageError, RequestError), match="image"):
        llm.structured_predict(Scene, PROMPT, who="Ana", image_documents="garbage")


async def test_a_structured_llm_sees_images_too(llm, engine, scene_file):
    objects = llm.as_structured_llm(Scene)
    objects.complete("What?", [scene_file])
    objects.complete("What?", image_documents=[scene_file])
    await objects.acomplete("What?", [scene_file])
    objects.chat(HELLO, image_documents=[scene_file])
    assert [len(request.images) for request in engine.requests] == [1] * 4
    objects.complete("What?", True)
    assert not engine.requests[-1].images
    with pytest.raises(RequestError, match="images once"):
        objects.complete("What?", [scene_file], image_documents=[scene_file])
    with pytest.raises(ValidationError, match="no option 'temprature'"):
        llm.as_structured_llm(Scene, temprature=1)
    with pytest.raises(RequestError, match="no class of pydantic"):
        llm.as_structured_llm(int)
