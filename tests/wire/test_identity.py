"""Both integrations say which model answers, and never another."""

import copy
import pickle
import threading

import pytest
from scripted_engine import ScriptedEngine

from memvr_integrations.backend.serving.registry import SHARED
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.errors import ConfigError
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.types import Identity
from memvr_integrations.wire.identity import identity_of

BOTH = pytest.mark.parametrize("kind", [ChatMemVR, MemVRMultiModalLLM])


class Named(ScriptedEngine):
    def __init__(self, name, key="own", abstention=None):
        super().__init__()
        self.name, self.abstention = name, abstention
        self.identity = Identity(name=name, key=key, durable=True)


class Silent:
    name = "silent"


def test_an_engine_that_does_not_say_is_itself_alone():
    one, two = Silent(), Silent()
    assert identity_of(one) == identity_of(one) != identity_of(two)
    assert not identity_of(one).durable
    assert identity_of(Named("a")) == Identity(name="a", key="own", durable=True)


@BOTH
def test_the_engine_counts_and_not_the_default(kind):
    made = kind(engine=Named("bundled", abstention=0.3))
    assert made._identity({}).key == "own"
    assert made._answering({}) == "bundled"
    assert made._known_context({}) == 4096
    assert made._abstention({}) == 0.3
    assert kind(engine=Named("bundled"))._abstention({}) is None  # a name proves nothing
    assert kind(model="BUNDLED")._answering({}) == "bundled"


@BOTH
def test_a_call_may_name_another_model(kind):
    engine = Named("mine")
    unsaid, said = kind(engine=engine), kind(model="other", engine=engine)
    assert unsaid._given({}) is unsaid._given({"model": "mine"}) is engine
    assert said._given({"model": "other"}) is said._given({"model": "mine"}) is engine
    for made in (unsaid, said):
        assert made._given({"model": "bundled"}) is None
        assert made._answering({"model": "Bundled"}) == "bundled"
        assert made._abstention({"model": "bundled"}) is not None
        assert made._known_context({"model": "bundled"}) == 2048


@BOTH
def test_one_key_before_and_after_loading(kind, whole):
    made = kind(device="cpu")
    before, users = made._identity({}), SHARED.users("bundled")
    assert before == whole.identity
    assert SHARED.users("bundled") == users
    made._engine({})
    assert made._identity({}) == before
    assert kind(device="cpu", dtype="bfloat16")._identity({}) != before
    made.unload()


@BOTH
def test_a_folder_is_a_folder_also_if_it_is_called_like_a_model(
    kind, checkpoint, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    checkpoint.rename("bundled")
    folder = kind(model=(tmp_path / "bundled").relative_to(tmp_path))
    assert (folder.model, folder._abstention({})) == ("./bundled", None)
    assert folder._identity({}).key == kind(model=str(tmp_path / "bundled"))._identity({}).key
    assert folder._identity({}).key != kind(model="bundled")._identity({}).key
    assert kind(model=WEIGHTS)._abstention({}) is None


@BOTH
def test_copies_keep_the_engine_and_pickles_refuse_it(kind):
    made = kind(engine=ScriptedEngine())
    made.engine.lock = threading.Lock()  # which no copy can have
    assert copy.deepcopy(made).engine is copy.copy(made).engine is made.engine
    assert made.model_copy(deep=True).engine is made.engine
    with pytest.raises(ConfigError, match=f"A {kind.__name__} that was given an engine="):
        pickle.dumps(made)
    assert pickle.loads(pickle.dumps(kind(model="bundled"))).model == "bundled"
