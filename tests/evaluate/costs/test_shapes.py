"""Published architectures with random weights: as large as published, and they answer."""

import pytest
import torch
from PIL import Image as Pillow
from transformers import AutoModelForImageTextToText

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.evaluate.costs.shapes import SHAPES, random_model
from memvr_integrations.memvr import MemVRConfig

SMALL_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 1200,
    "pad_token_id": 0,
}
SMALL_TOWER = {
    "qwen2.5-vl-7b": {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
    },
    "qwen-vl-chat": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "resampler_heads": 2,
        "output_dim": 32,
        "num_queries": 16,
        "image_size": 56,
    },
    "glm-4v-9b": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "adapter_size": 48,
        "output_dim": 32,
        "image_size": 56,
    },
}
PUBLISHED = {"7b": "llava-1.5-7b", "13b": "llava-1.5-13b"} | {name: name for name in SMALL_TOWER}
ALWAYS = MemVRConfig(starting_layer=0, ending_layer=3, entropy_threshold=0.0, retracing_ratio=0.3)
PICTURE = Pillow.effect_noise((120, 90), 60).convert("RGB")


def ask(config, tokens=3, n=2):
    sampling = SamplingParams(max_tokens=tokens)
    return [Request.ask("What is it?", PICTURE, sampling=sampling, memvr=config)] * n


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shape_is_as_large_as_published(name):
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(SHAPES[name]())
    row = find(PUBLISHED[name])
    assert model.num_parameters() == row.parameters
    assert model.config.get_text_config().max_position_embeddings == row.context


def test_small_shapes_are_called_by_width_and_vocabulary():
    config = SHAPES["2048-49k"]().text_config
    assert (config.hidden_size, config.vocab_size, config.num_hidden_layers) == (2048, 49152, 16)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(SHAPES["1024-32k"]())
    vision = model.config.vision_config
    assert (vision.image_size // vision.patch_size) ** 2 == 64
    assert model.get_output_embeddings().weight.shape == (32064, 1024)


@pytest.mark.parametrize("name", SMALL_TOWER)
def test_a_small_one_answers_and_traces(name):
    config = SHAPES[name]()
    config.text_config.update(SMALL_TEXT)
    if name.startswith("qwen2"):
        config.text_config.rope_parameters["mrope_section"] = [2, 3, 3]
    config.vision_config.update(SMALL_TOWER[name])
    loaded = random_model(name, config, torch.device("cpu"), torch.float32)
    with Backend(loaded) as backend:
        for done in backend.generate(ask(ALWAYS)):
            assert done.retraced == len(done.tokens) > 0
            assert done.usage.image_tokens > 0


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["7b", "qwen2.5-vl-7b", "glm-4v-9b"])
def test_a_large_one_answers_and_traces_in_bfloat16(name):
    loaded = random_model(name, SHAPES[name](), torch.device("cuda"), torch.bfloat16)
    with Backend(loaded) as backend:
        preset = backend.preset
        always = preset.changed({"entropy_threshold": 0.0})
        for done in backend.generate(ask(always, tokens=8)):
            assert done.retraced == len(done.tokens) == 8
            assert all(0 <= token.entropy <= 1 for token in done.tokens)
        [plain] = backend.generate(ask(None, tokens=8, n=1))
        never = preset.changed({"entropy_threshold": 2.0})
        [off] = backend.generate(ask(never, tokens=8, n=1))
        assert [t.id for t in off.tokens] == [t.id for t in plain.tokens]
