"""Decoding by contrasting layers against its formula."""

import math

import decoding_reference as reference
import pytest
import torch

from memvr_integrations.backend.decoding.strategies.dola import divergence, early_layers
from memvr_integrations.types.decoding import DoLaConfig


def jensen_shannon(p, q):
    middle = (p + q) / 2
    both = [(one * (one / middle).log())[one > 0].sum() for one in (p, q)]
    return float(both[0] + both[1]) / 2


@pytest.mark.parametrize("norm", [False, True])
def test_it_is_its_formula(backend, loaded, ask, scenes, endless, norm):
    config = DoLaConfig(alpha=1.5, beta=0.01, layers=(1, 2, 3, 5), norm_before_head=norm)
    with endless(backend):
        [answer] = backend.generate(
            ask("Describe it.", 3, max_tokens=8, memvr=None, decoding=config)
        )
    reader = reference.read(loaded, scenes, "Describe it.", 3)
    chosen = []

    def step(ids):
        out = reader.run(ids, output_hidden_states=True)
        own = out.logits[0, -1].float()
        late, early = reference.log_softmax(own), {}
        for layer in (1, 2, 3, 5):
            hidden = out.hidden_states[layer][0, -1]
            if norm:
                hidden = loaded.model.model.language_model.norm(hidden)
            early[layer] = reference.log_softmax(loaded.model.lm_head(hidden).float())
        best = max(early, key=lambda layer: jensen_shannon(late.exp(), early[layer].exp()))
        chosen.append(best)
        return reference.cut(late - 1.5 * early[best], own, 0.01)

    with torch.no_grad():
        expected = reference.greedy(step, 8)
    reference.same(answer, *expected)
    assert len(set(chosen)) > 1 or norm  # else the test would show no choosing


def test_divergence_is_by_row():
    random = torch.Generator().manual_seed(0)
    late = torch.randn(3, 7, generator=random).log_softmax(-1)
    early = torch.randn(2, 3, 7, generator=random).log_softmax(-1)
    late[0, 2] = early[1, 0, 2] = early[0, 1, 3] = -math.inf
    late, early = late.log_softmax(-1), early.log_softmax(-1)
    found = divergence(late, early)
    for layer in range(2):
        for row in range(3):
            expected = jensen_shannon(late[row].exp(), early[layer, row].exp())
            assert float(found[layer, row]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("layers", "tied", "expected"),
    [
        ("low", False, list(range(0, 16, 2))),
        ("high", False, list(range(16, 32, 2))),
        ("low", True, list(range(2, 16, 2))),
        ((5, 3), True, [3, 5]),
    ],
)
def test_candidates_are_the_published_ones(backend, monkeypatch, layers, tied, expected):
    host = backend._host
    monkeypatch.setattr(host, "layers", 32)
    head = host.model.get_output_embeddings() if tied else torch.nn.Linear(2, 2)
    monkeypatch.setattr(host.model, "get_input_embeddings", lambda: head)
    assert early_layers(host, DoLaConfig(layers=layers)) == expected


def test_no_hook_stays(backend, ask):
    backend.generate(ask("What?", 0, max_tokens=2, decoding="dola"))
    while backend.busy:
        pass
    layers = backend._host.model.model.language_model.layers
    assert not any(layer._forward_pre_hooks for layer in layers)
