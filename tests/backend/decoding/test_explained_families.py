"""Every family explained: the scores are those that the answer was given with."""

import dataclasses

import numpy as np
import pytest
from families import FAMILIES
from PIL import Image as Pillow
from tiny_family import LAYERS

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.explain import ExplainConfig
from memvr_integrations.memvr import MemVRConfig

EAGER = MemVRConfig(
    starting_layer=0, ending_layer=LAYERS - 1, entropy_threshold=0.5, retracing_ratio=0.5
)
# The processors of GLM and PaliGemma hand tensors to NumPy in a way that it will forbid.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=FAMILIES)
def backend(request, tmp_path_factory):
    if request.param == "gemma4":  # whose processor needed torchvision once
        pytest.importorskip("transformers.models.gemma4.processing_gemma4")
    folder = FAMILIES[request.param].save(request.param, tmp_path_factory.mktemp(request.param))
    with Backend.load(folder, device="cpu", progress=False) as loaded:
        yield loaded


@pytest.mark.parametrize(("activation", "scope"), [(None, "all"), ("silu", "last")])
def test_the_answer_is_explained_as_it_was_given(backend, activation, scope):
    noise = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    config = dataclasses.replace(EAGER, activation=activation, scope=scope)
    request = Request.ask(
        "What is it?",
        Pillow.fromarray(noise),
        sampling=SamplingParams(max_tokens=4, min_tokens=4),
        memvr=config,
    )
    [done] = backend.generate(request)
    assert any(token.trigger_layer is not None for token in done.tokens[1:])
    for method in ("attention_gradient", "retracing"):
        explanation = backend.explain(
            request,
            done,
            config=ExplainConfig(method=method, second=False, tokens=(0, 1, 2, 3), compare=False),
        )
        for token, given in zip(explanation.tokens, done.tokens, strict=True):
            if given.text.strip().lower() not in ("yes", "no"):  # whose score is a lead
                assert token.score["on"] == pytest.approx(given.logprob, abs=1e-4)
        assert any(token.maps["on"][0].any() for token in explanation.tokens)
