"""ChatMemVR written, copied and pickled, and as the key of a cache."""

import copy
import pickle
import warnings

import PIL.Image
import pytest
from bundled_settings import ALWAYS
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps, loads
from langchain_core.messages import HumanMessage
from scripted_engine import ScriptedEngine

from memvr_integrations.langchain import ChatMemVR, image_block
from memvr_integrations.types.decoding import DoLaConfig
from memvr_integrations.types.image_policy import ImagePolicy


@pytest.fixture
def engine():
    return ScriptedEngine()


def test_it_can_be_written_and_read():
    model = ChatMemVR(
        memvr=ALWAYS,
        image_policy=ImagePolicy(image_dirs=["/tmp"]),
        seed=0,
        stream_usage=False,
        stop=["x"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LangChain calls `loads` a beta, once
        again = loads(
            dumps(model), allowed_objects=[ChatMemVR], valid_namespaces=["memvr_integrations"]
        )
    assert again == model
    assert "api_key" not in dumps(ChatMemVR(api_key="secret"))


@pytest.mark.parametrize(
    "remake", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_are_equal_and_work(remake):
    model = ChatMemVR(memvr=ALWAYS, device="cpu", max_tokens=2)
    assert remake(model) == model
    assert remake(model).invoke("Hello").content == model.invoke("Hello").content


def test_a_cache_keeps_options_and_pixels_apart(engine, scenes, tmp_path):
    model = ChatMemVR(model="scripted", engine=engine, cache=InMemoryCache())
    pictures = [HumanMessage([image_block(scene.pixels), "What?"]) for scene in scenes[:2]]
    for _ in range(2):
        for picture in pictures:
            model.invoke([picture])
    assert len(engine.requests) == 2
    model.invoke([pictures[0]], memvr=None)
    model.memvr = ALWAYS
    model.invoke([pictures[0]])
    assert len(engine.requests) == 4


async def test_a_cache_sees_what_lies_behind_a_url(engine, scenes, tmp_path):
    cache = InMemoryCache()
    model = ChatMemVR(
        model="scripted", engine=engine, cache=cache, image_policy={"image_dirs": [tmp_path]}
    )
    file = tmp_path / "a.png"
    message = HumanMessage([{"type": "image_url", "image_url": {"url": file.as_uri()}}, "What?"])
    for scene in scenes[:2]:
        PIL.Image.fromarray(scene.pixels).save(file)
        model.invoke([message])
        await model.ainvoke([message])
    assert len(engine.requests) == 2


def test_a_strategy_is_written_copied_and_part_of_the_key(engine):
    model = ChatMemVR(decoding=DoLaConfig(layers=(2, 4)), max_tokens=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        again = loads(
            dumps(model), allowed_objects=[ChatMemVR], valid_namespaces=["memvr_integrations"]
        )
    assert again.decoding == pickle.loads(pickle.dumps(model)).decoding == model.decoding
    chat = ChatMemVR(model="scripted", engine=engine, cache=InMemoryCache())
    for decoding in ("vcd", "vcd", {"name": "vcd", "alpha": 2}, None):
        chat.invoke("Hi", decoding=decoding)
        ChatMemVR(model="scripted", engine=engine, cache=chat.cache, decoding=decoding).invoke("Hi")
    assert len(engine.requests) == 6
