"""Models whose parts lie apart: weights on disk, or the head on another device than the layers."""

import copy

import pytest
import torch
from accelerate import dispatch_model
from memvr_models import generate, load_json, prompt, tiny_llava, triggers

from memvr_integrations.memvr import MemVRConfig, choose_probe, retracing

IMAGES = next(iter(load_json("llava_public").values()))["images"]
TEXT = "model.language_model"


def placed(first, last):
    """Where each part lies: the layers from 12 on, the norm and the head are `last`."""
    parts = ["model.vision_tower", "model.multi_modal_projector", f"{TEXT}.embed_tokens"]
    where = dict.fromkeys([*parts, f"{TEXT}.rotary_emb"], first)
    where |= {f"{TEXT}.layers.{layer}": first if layer < 12 else last for layer in range(32)}
    return where | {f"{TEXT}.norm": last, "lm_head": last}


@pytest.mark.parametrize("activation", [None, "silu"])
def test_weights_on_disk(tmp_path, activation):
    config = MemVRConfig(entropy_threshold=0.6, retracing_ratio=0.3, activation=activation)
    inputs = prompt(IMAGES, 6)
    with retracing(tiny_llava(), config) as whole:
        _, expected = generate(tiny_llava(), inputs)
    model = copy.deepcopy(tiny_llava())
    dispatch_model(model, placed("cpu", "disk"), main_device="cpu", offload_dir=tmp_path)
    assert model.lm_head.weight.is_meta
    for sync_free in (False, True):
        with retracing(model, config, sync_free=sync_free) as trace:
            _, logits = generate(model, inputs)
        assert triggers(trace) == triggers(whole)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    assert choose_probe("reuse", model.lm_head).reason == "the head's weights are not in memory"


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("first", "last"), [(0, "cpu"), ("cpu", 0)], ids=["head on the CPU", "head on the GPU"]
)
def test_two_devices(first, last):
    config = MemVRConfig(entropy_threshold=0.6, retracing_ratio=0.3, activation="silu")
    inputs = prompt(IMAGES, 6)
    with retracing(tiny_llava(), config) as whole:
        generate(tiny_llava(), inputs)
    model = copy.deepcopy(tiny_llava())
    dispatch_model(model, placed(first, last), main_device=0)
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    for options in ({}, {"sync_free": True}, {"probe": "reuse"}, {"keep_where": True}):
        with retracing(model, config, **options) as trace:
            generate(model, inputs)
        assert triggers(trace) == triggers(whole)
