"""Weights of 8 and 4 bits, by bitsandbytes, which computes on CPUs as well."""

import dataclasses

import pytest
from families import FAMILIES
from PIL import Image as Pillow

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.memvr import MemVRConfig

# Bitsandbytes packs 64 weights together.
WIDE = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    llava = FAMILIES["llava"]
    text = llava.config["text_config"] | WIDE
    tower = llava.config["vision_config"] | {"hidden_size": 64, "intermediate_size": 128}
    family = dataclasses.replace(
        llava, config=llava.config | {"text_config": text, "vision_config": tower}
    )
    return family.save("llava", tmp_path_factory.mktemp("wide"))


def always(activation=None):
    return MemVRConfig(
        starting_layer=0,
        ending_layer=4,
        entropy_threshold=0.0,
        retracing_ratio=0.5,
        activation=activation,
    )


@pytest.mark.filterwarnings("ignore:MatMul8bitLt")  # says that it rounds, at every call
@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_packed_weights_answer_trace_and_retrace(folder, scenes, bits):
    picture = Pillow.fromarray(scenes[0].pixels)

    def ask(memvr, question="A dog?"):
        return Request.ask(question, picture, sampling=SamplingParams(max_tokens=4), memvr=memvr)

    with Backend.load(folder, device="cpu", quantization=bits, progress=False) as backend:
        up = backend._host.model.model.language_model.layers[0].mlp.up_proj
        assert "bitsandbytes" in type(up).__module__
        [plain] = backend.generate(ask(None))
        for activation in (None, "silu"):
            [done] = backend.generate(ask(always(activation)))
            assert {token.trigger_layer for token in done.tokens} == {1}
            assert all(0 <= token.entropy <= 1 for token in done.tokens)
            assert [t.logprob for t in done.tokens] != [t.logprob for t in plain.tokens]
        together = backend.generate([ask(always()), ask(always(), "What is in the picture?")])
        [alone] = backend.generate(ask(always()))
        assert [t.trigger_layer for t in together[0].tokens] == [
            t.trigger_layer for t in alone.tokens
        ]
