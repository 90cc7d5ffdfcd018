"""LangChain's own contract: the protocol on a scripted engine, and all of it on the bundled model.

The scripted engine obeys, so it shows that messages, tools and answers are translated rightly. The
bundled model was trained to answer questions about drawn scenes and nothing else: what it says in
a call fits the schema, but it cannot copy a number out of a question.
"""

import io

import httpx
import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from PIL import Image
from scripted_engine import ScriptedEngine

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.langchain import ChatMemVR

NEVER_TRAINED = "the bundled model was never trained for tools: valid arguments, not the right ones"
NEVER_CALLS = "the bundled model was never trained for tools: left to choose, it answers in words"


@pytest.fixture(autouse=True)
def pictures_without_a_network(monkeypatch):
    """The suite downloads its pictures from the internet by httpx; give it one of our own."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(buffer, "JPEG")

    def get(url, **options):
        return httpx.Response(200, content=buffer.getvalue(), request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)


@pytest.fixture
def vcr():
    """The suite asks for it, and uses it where calls to a server are recorded."""


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self):
        return ChatMemVR

    @property
    def chat_model_params(self):
        return {"model": "bundled"}

    @property
    def supports_json_mode(self):
        return True

    @pytest.mark.xfail(reason="LangChain's load(allowed_objects='all') knows its own packages only")
    def test_serdes(self, model, snapshot):
        super().test_serdes(model, snapshot)


class _Images(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return ChatMemVR

    @property
    def supports_json_mode(self):
        return True

    @property
    def supports_image_inputs(self):
        return True

    @property
    def supports_image_tool_message(self):
        return True

    @property
    def supports_anthropic_inputs(self):
        return True


class TestProtocol(_Images):
    @property
    def chat_model_params(self):
        return {"model": "scripted", "engine": ScriptedEngine()}


@pytest.mark.usefixtures("half_of_a_path")
class TestBundled(_Images):
    @property
    def chat_model_params(self):
        return {"model": str(WEIGHTS), "device": "cpu", "max_tokens": 56}

    @pytest.mark.xfail(reason=NEVER_TRAINED)
    def test_tool_calling(self, model):
        super().test_tool_calling(model)

    @pytest.mark.xfail(reason=NEVER_TRAINED)
    async def test_tool_calling_async(self, model):
        await super().test_tool_calling_async(model)

    @pytest.mark.xfail(reason=NEVER_TRAINED)
    def test_unicode_tool_call_integration(self, model):
        super().test_unicode_tool_call_integration(model)

    @pytest.mark.xfail(reason=NEVER_CALLS)
    def test_agent_loop(self, model):
        super().test_agent_loop(model)
