"""ChatMemVR and the model in memory: loaded late, shared, let go."""

import asyncio
import threading

import pytest
from langchain_core.messages import HumanMessage, trim_messages
from scripted_engine import ScriptedEngine

from memvr_integrations import errors
from memvr_integrations.backend.serving.registry import SHARED
from memvr_integrations.langchain import ChatMemVR


def test_nothing_is_loaded_before_the_first_call():
    before = SHARED.users("bundled")
    model = ChatMemVR()
    assert SHARED.users("bundled") == before
    model.get_num_tokens("a cow")
    assert SHARED.users("bundled") == before + 1
    model.unload()
    assert SHARED.users("bundled") == before


def test_models_share_one_backend():
    first, second = ChatMemVR(device="cpu"), ChatMemVR(device="cpu", temperature=1)
    assert first._engine({}) is second._engine({})


async def test_loading_does_not_hold_up_the_loop(monkeypatch):
    loading = threading.Event()

    def load(name, config):
        assert loading.wait(10)
        return ScriptedEngine()

    monkeypatch.setattr(SHARED, "_load", load)
    monkeypatch.setattr(ScriptedEngine, "close", lambda self: None, raising=False)
    model = ChatMemVR(model="bundled", revision="never loaded")
    task = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.sleep(0.05)  # the loop runs
    loading.set()
    assert (await task).content
    model.unload()


def test_an_unknown_model_is_refused():
    with pytest.raises(errors.ModelNotFoundError, match="Did you mean 'bundled'"):
        ChatMemVR(model="bundeld").invoke("Hi")


def test_nothing_has_no_tokens():
    scripted = ChatMemVR(model="scripted", engine=ScriptedEngine())
    assert scripted.get_num_tokens_from_messages([]) == 0
    long = [HumanMessage("a b c d " * 50)]
    kept = trim_messages(long, max_tokens=40, token_counter=scripted, allow_partial=True)
    assert scripted.get_num_tokens_from_messages(kept) <= 40


def test_the_profile_knows_how_much_it_reads():
    assert ChatMemVR().profile["max_input_tokens"] == 2048
    assert ChatMemVR(model="llava-1.5-7b").profile["max_input_tokens"] == 4096
