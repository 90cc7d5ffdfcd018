import pytest
from llama_index_contract import MultiModalLLMContract
from scripted_engine import ScriptedEngine

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.errors import ConfigError
from memvr_integrations.llama_index import MemVRMultiModalLLM


class TestScripted(MultiModalLLMContract):
    @pytest.fixture
    def llm(self):
        return MemVRMultiModalLLM(model="scripted", engine=ScriptedEngine())

    @pytest.fixture
    def picture(self, scene_file):
        return scene_file

    def test_it_can_be_pickled(self, llm):
        with pytest.raises(ConfigError, match="engine= can't be pickled"):
            super().test_it_can_be_pickled(llm)


@pytest.mark.usefixtures("half_of_a_path")
class TestBundled(MultiModalLLMContract):
    @pytest.fixture
    def llm(self):
        return MemVRMultiModalLLM(model=str(WEIGHTS), device="cpu", max_tokens=56)

    @pytest.fixture
    def picture(self, scene_file):
        return scene_file
