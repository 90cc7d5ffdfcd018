"""What LangChain keeps and says of a model is that of the model which answers."""

import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.language_models import ModelProfile
from langchain_core.load import dumps, loads
from scripted_engine import ScriptedEngine

from memvr_integrations.errors import ConfigError
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.types import Identity


class OnDisk(BaseCache):
    """As those that write files; `keys` is what would be in one."""

    def __init__(self):
        self.kept = {}

    def lookup(self, prompt, llm_string):
        return self.kept.get((prompt, llm_string))

    def update(self, prompt, llm_string, return_val):
        self.kept[prompt, llm_string] = return_val

    def clear(self, **kwargs):
        self.kept.clear()


def engine(name, key=None, *, durable=True, context=4096):
    made = ScriptedEngine(lambda request: f"I am {name}.")
    made.name, made.context = name, context
    made.identity = Identity(name=name, key=key or name, durable=durable)
    return made


async def test_two_engines_never_share_an_answer():
    cache, one, two = InMemoryCache(), engine("a", "1"), engine("a", "2")
    first, second = ChatMemVR(engine=one, cache=cache), ChatMemVR(engine=two, cache=cache)
    for _ in range(2):
        first.invoke("Hi")
        await second.ainvoke("Hi")
        first.model_copy(update={"engine": two}).invoke("Hi")
        first.bind(max_tokens=3).invoke("Hi")
    assert [len(one.requests), len(two.requests)] == [2, 1]
    again = engine("a", "1")  # after a restart
    assert ChatMemVR(engine=again, cache=cache).invoke("Hi").content == "I am a."
    assert again.requests == []
    first.engine = two
    first.invoke("Hi")
    assert len(two.requests) == 1


async def test_what_was_built_in_memory_stays_there():
    passing, disk = engine("a", durable=False), OnDisk()
    kept = ChatMemVR(engine=passing, cache=disk)
    kept.invoke("Hi")
    await kept.ainvoke("Hi")
    assert not disk.kept
    assert len(passing.requests) == 2
    for _ in range(2):
        ChatMemVR(engine=engine("b"), cache=disk).invoke("Hi")
        kept.model_copy(update={"cache": InMemoryCache()}).invoke("Hi")
    assert len(disk.kept) == 1


def test_a_copy_with_other_options_has_another_key():
    one = engine("a")
    made = ChatMemVR(engine=one, cache=InMemoryCache())
    made.invoke("Hi")
    made.model_copy(update={"temperature": 0.5, "seed": 1}).invoke("Hi")
    assert len(one.requests) == 2


def test_the_profile_is_that_of_the_engine():
    made = ChatMemVR(engine=engine("a", context=77))
    assert (made.profile["name"], made.profile["max_input_tokens"]) == ("a", 77)
    made.engine = engine("b", context=88)
    assert (made.profile["name"], made.profile["max_output_tokens"]) == ("b", 88)
    changed = made.model_copy(update={"engine": None})
    assert (changed.profile["name"], changed.profile["max_input_tokens"]) == ("bundled", 2048)
    assert made.bind(model="llava-1.5-7b").profile["max_input_tokens"] == 4096
    assert made.bind(max_tokens=3).profile is made.profile
    given = ChatMemVR(engine=engine("a"), profile={"max_input_tokens": 5})
    given.engine = engine("b")
    assert given.profile == {"max_input_tokens": 5}


def test_the_profile_has_the_fields_of_this_core():
    unknown = {"status", "release_date", "last_updated", "mid_conversation_system_messages"}
    unknown |= {"reasoning_effort_levels", "reasoning_effort_default"}  # it has none
    assert set(ModelProfile.__annotations__) - unknown == set(ChatMemVR().profile)
    profile = ChatMemVR(model="some/one").profile
    assert profile["tool_call_streaming"]
    assert "max_input_tokens" not in profile


def test_a_folder_without_settings_still_has_a_profile(tmp_path):
    (tmp_path / "config.json").write_text("{")
    assert ChatMemVR(model=str(tmp_path)).profile["tool_calling"]


def test_tracing_says_who_answers():
    made = ChatMemVR(engine=engine("a"))
    assert made._get_ls_params()["ls_model_name"] == made._identifying_params["model"] == "a"
    assert made._get_ls_params(model="Bundled")["ls_model_name"] == "bundled"
    assert "device" not in made._identifying_params


@pytest.mark.filterwarnings("ignore:.*beta.*")
def test_a_written_model_does_not_come_back_as_another():
    written = dumps(ChatMemVR(engine=engine("a")))
    with pytest.raises(ValueError, match="engine='a' is no engine"):
        loads(written, allowed_objects=[ChatMemVR], valid_namespaces=["memvr_integrations"])


def test_a_threshold_is_that_of_the_model_that_answers():
    own = engine("bundled")
    careful = ChatMemVR(engine=own, abstain=True)
    with pytest.raises(ConfigError, match="No threshold was measured for 'bundled'"):
        careful.invoke("Hi")
    own.abstention = 0.4
    assert careful.invoke("Hi").response_metadata["memvr"]["threshold"] == 0.4
    with pytest.raises(ConfigError, match=r"measured for 'llava-1\.5-7b'"):
        careful.invoke("Hi", model="llava-1.5-7b")
    with pytest.raises(ConfigError, match=r"measured for 'llava-1\.5-7b'"):
        careful.bind(model="llava-1.5-7b").invoke("Hi")
    given = careful.invoke("Hi", abstain=0.9)
    assert given.response_metadata["memvr"]["threshold"] == 0.9
    assert "threshold" not in careful.invoke("Hi", abstain=None).response_metadata["memvr"]
