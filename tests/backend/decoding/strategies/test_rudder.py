"""RUDDER against its formula."""

import math

import decoding_reference as reference
import pytest
import torch
from torch import nn

from memvr_integrations.backend.decoding.strategies.rudder import attention_update, steered_layer
from memvr_integrations.errors import ConfigError, UnsupportedModelError
from memvr_integrations.types.decoding import RudderConfig


def softplus(x):
    return math.log1p(math.exp(x))


@pytest.mark.parametrize("pooling", ["mean", "weighted"])
def test_it_is_its_formula(backend, loaded, ask, scenes, endless, pooling):
    config = RudderConfig(
        strength=25, sensitivity=4, concentration=0.5, gate_min=0.1, gate_max=0.8, layer=3,
        pooling=pooling,
    )  # fmt: skip
    with endless(backend):
        plain, answer = (
            backend.generate(ask("Describe it.", 3, max_tokens=9, memvr=None, decoding=decoding))[0]
            for decoding in (None, config)
        )
    reader = reference.read(loaded, scenes, "Describe it.", 3)
    layer = loaded.model.model.language_model.layers[3]
    length = reader.inputs["input_ids"].shape[1]

    def steer(module, args, out):
        if module is layer.input_layernorm:
            steer.hidden = args[0]
            return None
        updates, *rest = out
        pooled = torch.zeros(updates.shape[-1])
        for position in range(length):
            update = updates[0, position]
            pooled += update * (update.norm() if pooling == "weighted" else 1)
        v = pooled / pooled.norm()
        for position in range(length, updates.shape[1]):
            h = steer.hidden[0, position]
            s = float(h @ v / h.norm())
            a, b = softplus(4 * s + 0.5), softplus(-4 * s + 0.5)
            updates[0, position] += 25 * min(max(a / (a + b), 0.1), 0.8) * v
        return (updates, *rest)

    handles = [m.register_forward_hook(steer) for m in (layer.input_layernorm, layer.self_attn)]
    try:
        with torch.no_grad():
            expected = reference.greedy(reader.logits, 9)
    finally:
        for handle in handles:
            handle.remove()
    reference.same(answer, *expected)
    assert answer.tokens[0] == plain.tokens[0]
    assert answer.tokens != plain.tokens


def test_the_published_layer_at_other_depths(backend, monkeypatch):
    for depth, layer in ((32, 30), (40, 38), (12, 11), (2, 1)):
        monkeypatch.setattr(backend._host, "layers", depth)
        assert steered_layer(backend._host, RudderConfig()) == layer


def test_what_cannot_be_steered_is_refused(backend, ask):
    with pytest.raises(ConfigError, match="layer=6 is beyond bundled's 6 layers"):
        backend.generate(ask("What?", 0, decoding=RudderConfig(layer=6)))
    with pytest.raises(UnsupportedModelError, match="has no self-attention"):
        attention_update(backend._host, nn.Linear(1, 1))


def test_norms_after_the_attention_belong_to_the_update(backend):
    layer = nn.Module()
    layer.self_attn, layer.post_attention_layernorm = nn.Identity(), nn.Identity()
    assert attention_update(backend._host, layer) is layer.self_attn
    layer.pre_feedforward_layernorm = nn.Identity()
    assert attention_update(backend._host, layer) is layer.post_attention_layernorm
    layer.post_self_attn_layernorm = nn.Identity()
    assert attention_update(backend._host, layer) is layer.post_self_attn_layernorm
