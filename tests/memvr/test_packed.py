"""Packed forward passes: every row fares as it does in a padded batch, and as it does alone."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn

from memvr_integrations.errors import ArmingError, ConfigError
from memvr_integrations.memvr import (
    ExactProbe,
    Frame,
    MemVRConfig,
    Method,
    Packed,
    Pass,
    Plan,
    VisualMemory,
)

DEPTH, DIM = 8, 16
LENGTHS = [5, 1, 3, 1, 1, 3, 4]
IMAGES = [(3,), (2, 4), (), (1,), (2,), (5,), (4,)]
ENDS = list(itertools.accumulate(LENGTHS))
SPANS = [(end - length, end) for length, end in zip(LENGTHS, ENDS, strict=True)]
ALL = range(len(SPANS))
CONFIG = MemVRConfig(
    starting_layer=0,
    ending_layer=7,
    entropy_threshold=0.5,
    retracing_ratio=0.4,
    activation="silu",
)
VARIANTS = [
    {},
    {"activation": None},
    {"scope": "last"},
    {"dynamic_ratio": True},
    {"control": "damping"},
]


@pytest.fixture(params=VARIANTS, ids=str)
def config(request):
    return dataclasses.replace(CONFIG, **request.param)


def method_of(config, **options):
    torch.manual_seed(3)
    head = nn.Linear(DIM, 40).requires_grad_(False)
    head.weight.mul_(10)
    return Method(config=config, norm=nn.Identity(), probe=ExactProbe(head, "top10"), **options)


def batch(config):
    """Settings, images and layers: a residual, an FFN's input and its output for each."""
    torch.manual_seed(4)
    images = [[torch.randn(tokens, DIM) for tokens in row] for row in IMAGES]
    configs = [config] * len(IMAGES)
    configs[3] = None
    configs[5] = config.changed({"entropy_threshold": 0.0, "retracing_ratio": 0.8})
    layers = [tuple(torch.randn(3, ENDS[-1], DIM)) for _ in range(DEPTH)]
    return configs, images, layers


def planned(rows, configs, images):
    if any(images[row] for row in rows):
        memory = VisualMemory.from_rows([images[row] for row in rows])
    else:
        memory = VisualMemory.empty(len(rows), torch.device("cpu"))
    return Plan.build(
        memory,
        [configs[row] for row in rows],
        memory.usable.tolist(),
        depth=DEPTH,
        magnitude=lambda layer: torch.tensor(0.3 + layer / 10),
    )


def run(one, layers):
    """A decoder: each layer's FFN gives something, then the layer leaves a residual."""
    outs = []
    for layer, (residual, x, ffn) in enumerate(layers):
        outs.append(one.retrace(layer, x, ffn) if layer else ffn)
        one.probe(layer, residual)
    assert one.followed
    return torch.stack(outs), one.record().steps()[0].rows


def run_packed(method, configs, images, layers, rows=ALL):
    packed = Packed([SPANS[row] for row in rows])
    return run(Pass(method, planned(rows, configs, images), packed), layers)


@pytest.mark.parametrize("sync_free", [False, True])
def test_packed_rows_equal_the_same_rows_padded(config, sync_free):
    method, (configs, images, layers) = method_of(config, sync_free=sync_free), batch(config)
    outs, rows = run_packed(method, configs, images, layers)
    width = max(LENGTHS)
    real = torch.tensor([[at >= width - length for at in range(width)] for length in LENGTHS])
    padded = [tuple(torch.zeros(len(LENGTHS), width, DIM) for _ in layer) for layer in layers]
    for layer, given in zip(padded, layers, strict=True):
        for into, values in zip(layer, given, strict=True):
            into[real] = values
    frame = Frame(width=width, prompt=width, real=real)
    plan = planned(ALL, configs, images)
    wanted, expected = run(Pass(method, plan, frame), padded)
    torch.testing.assert_close(outs, wanted[:, real], rtol=0, atol=2e-6)
    assert [row.trigger_layer for row in rows] == [row.trigger_layer for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row.entropies == pytest.approx(other.entropies, abs=1e-6)
    # Nothing above would mean anything otherwise.
    assert len({row.trigger_layer for row in rows}) > 2
    assert not torch.equal(outs, torch.stack([ffn for _, _, ffn in layers]))


@pytest.mark.parametrize("sync_free", [False, True])
def test_packed_rows_equal_each_row_alone(config, sync_free):
    method, (configs, images, layers) = method_of(config, sync_free=sync_free), batch(config)
    outs, rows = run_packed(method, configs, images, layers)
    for row, (start, end) in enumerate(SPANS):
        own, (alone,) = run_packed(method, configs, images, layers, [row])
        torch.testing.assert_close(outs[:, start:end], own[:, start:end], rtol=0, atol=2e-6)
        assert rows[row].trigger_layer == alone.trigger_layer
        assert rows[row].entropies == pytest.approx(alone.entropies, abs=1e-6)


def test_both_forms_are_equal_bit_for_bit(config):
    configs, images, layers = batch(config)
    early, free = (
        run_packed(method_of(config, sync_free=sync_free), configs, images, layers)[0]
        for sync_free in (False, True)
    )
    assert torch.equal(early, free)


@pytest.mark.parametrize("sync_free", [False, True])
def test_what_is_off_stays_bit_for_bit(sync_free):
    configs, images, layers = batch(CONFIG)
    method, plain = method_of(CONFIG, sync_free=sync_free), torch.stack([x for *_, x in layers])
    outs, rows = run_packed(method, configs, images, layers)
    assert rows[2].entropies == rows[3].entropies == {}
    for start, end in SPANS[2:4]:
        assert torch.equal(outs[:, start:end], plain[:, start:end])
    # A sequence without MemVR needs no row at all.
    some, _ = run_packed(method, configs, images, layers, [0, 5])
    inside = torch.zeros(ENDS[-1], dtype=torch.bool)
    inside[0:5] = inside[SPANS[5][0] : SPANS[5][1]] = True
    assert torch.equal(some[:, ~inside], plain[:, ~inside])
    assert not torch.equal(some[:, inside], plain[:, inside])


def test_the_last_scope_touches_last_tokens_alone():
    config = dataclasses.replace(CONFIG, scope="last")
    configs, images, layers = batch(config)
    outs, _ = run_packed(method_of(config), configs, images, layers)
    changed = (outs != torch.stack([x for *_, x in layers])).any(-1).any(0).nonzero().flatten()
    assert set(changed.tolist()) <= {end - 1 for end in ENDS}
    assert len(changed) > 2


@pytest.mark.parametrize(
    ("scope", "calls"), [("all", len(set(LENGTHS))), ("last", 1)], ids=["all", "last"]
)
def test_rows_of_one_length_share_a_call(monkeypatch, scope, calls):
    config = dataclasses.replace(CONFIG, scope=scope, entropy_threshold=0.0)
    seen = []
    name = "memvr_integrations.memvr.formula.retrace"
    monkeypatch.setattr(name, lambda x, ffn, *a, **k: seen.append(len(x)) or ffn)
    _, images, layers = batch(config)
    run_packed(method_of(config), [config] * len(IMAGES), images, layers)
    assert len(seen) == calls
    assert sum(seen) == len(IMAGES)


def test_where_evidence_came_from():
    configs, images, layers = batch(CONFIG)
    _, rows = run_packed(method_of(CONFIG, keep_where=True), configs, images, layers)
    assert [len(image) for image in rows[1].where] == [2, 4]
    assert sum(float(image.sum()) for image in rows[1].where) == pytest.approx(1, abs=1e-5)


def test_a_pass_that_skipped_an_ffn_was_not_followed():
    configs, images, layers = batch(CONFIG)
    one = Pass(method_of(CONFIG), planned([5], configs, images), Packed([SPANS[5]]))
    assert not one.followed
    for layer, (residual, _, _) in enumerate(layers):
        one.probe(layer, residual)
    assert not one.followed


@pytest.mark.parametrize("spans", [[], [(0, 0)], [(0, 2), (1, 3)], [(3, 4), (0, 4)], [(-1, 1)]])
def test_spans_that_cannot_be(spans):
    with pytest.raises(ConfigError, match=r"No row has tokens|empty or overlaps"):
        Packed(spans)


def test_a_layout_of_other_rows_than_the_plan():
    configs, images, layers = batch(CONFIG)
    one = Pass(method_of(CONFIG), planned([0, 5], configs, images), Packed([SPANS[5]]))
    with pytest.raises(ArmingError, match="has 1 rows, its plan 2"):
        one.probe(1, layers[1][0])
