import dataclasses

import pytest
import torch

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import MemVRConfig, VisualMemory
from memvr_integrations.memvr.plan import Plan, shared_config, window


@pytest.mark.parametrize(
    ("start", "end", "layers", "expected"),
    [
        (5, 16, 32, range(6, 16)),
        (-1, 1, 32, range(0, 1)),
        (28, 31, 32, range(29, 31)),
        # The last layer has nothing after it to retrace.
        (28, 32, 32, range(29, 31)),
    ],
)
def test_a_window_holds_the_layers_strictly_between(start, end, layers, expected):
    config = MemVRConfig(starting_layer=start, ending_layer=end)
    assert window(config, layers) == frozenset(expected)


def test_a_row_that_is_off_probes_nothing():
    assert window(None, 32) == frozenset()


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (5, 33, r"ending_layer=33 is beyond the model's 32 layers; set it to 31 at most"),
        (30, 32, r"starting_layer=30 leaves nothing to retrace in 32 layers; set it to 29"),
    ],
)
def test_a_window_beyond_the_model(start, end, message):
    with pytest.raises(ConfigError, match=message):
        window(MemVRConfig(starting_layer=start, ending_layer=end), 32)


def test_rows_share_all_but_window_threshold_and_ratio():
    one = MemVRConfig(activation="silu")
    two = dataclasses.replace(
        one, starting_layer=1, ending_layer=9, entropy_threshold=0.1, retracing_ratio=0.9
    )
    assert shared_config([None, one, two]) == shared_config([two]) == one
    assert shared_config([None, None]) is None
    for change in ({"scope": "last"}, {"uncertainty": "vocabulary"}, {"dynamic_ratio": True}):
        other = dataclasses.replace(one, **change)
        with pytest.raises(ConfigError, match=f"{next(iter(change))}=.*Run them as two batches"):
            shared_config([one, None, other])


@pytest.mark.parametrize("activation", [None, "silu"])
def test_a_plan_lays_rows_out(activation):
    memory = VisualMemory.from_rows([[torch.full((2, 64), 2.0)], [], [torch.full((1, 64), -4.0)]])
    configs = [
        MemVRConfig(activation=activation, starting_layer=1, ending_layer=4),
        MemVRConfig(activation=activation),
        MemVRConfig(activation=activation, starting_layer=2, ending_layer=5, retracing_ratio=0.5),
    ]
    plan = Plan.build(
        memory,
        configs,
        [True, False, True],
        depth=32,
        magnitude=lambda layer: torch.tensor(0.1 * layer),
    )
    assert plan.layers == (2, 3, 4)
    assert plan.able.flatten().tolist() == [True, False, True]
    assert plan.eligible[2].flatten().tolist() == [True, False, False]
    assert plan.eligible[4].flatten().tolist() == [False, False, True]
    assert plan.ratios.flatten().tolist() == pytest.approx([0.12, 0.12, 0.5])
    top = 0.4 if activation else 1 / 8
    assert plan.gains[4][[0, 2]].tolist() == pytest.approx([top / 2, top / 4])
    assert plan.gains[4].isfinite().all()


def equal(one, other):
    """Two plans of the same rows, whatever lies after a row's own visual tokens."""
    assert (one.windows, one.layers) == (other.windows, other.layers)
    assert one.memory.images == other.memory.images
    for row, images in enumerate(one.memory.images):
        own = sum(images)
        assert torch.equal(one.memory.features[row, :own], other.memory.features[row, :own])
        assert not one.memory.features[row, own:].any()
    assert torch.equal(one.able, other.able)
    assert torch.equal(one.ratios, other.ratios)
    assert torch.equal(one.thresholds, other.thresholds)
    assert set(one.eligible) == set(other.eligible) == set(one.layers)
    for layer in one.layers:
        assert torch.equal(one.eligible[layer], other.eligible[layer])
        # Where a row does not probe, its gain is never used.
        probes = one.eligible[layer][:, 0]
        assert torch.equal(one.gains[layer + 1][probes], other.gains[layer + 1][probes])
        assert one.gains[layer + 1].isfinite().all()


@pytest.fixture(params=[None, "silu"])
def rows(request):
    """Images and settings of five rows, one of them plain and one without an image."""
    random = torch.Generator().manual_seed(3)

    def config(start, end, threshold):
        return MemVRConfig(
            activation=request.param,
            starting_layer=start,
            ending_layer=end,
            entropy_threshold=threshold,
            retracing_ratio=threshold / 2,
        )

    sizes = [(2, 3), (4,), (), (1,), (6,)]
    images = [[torch.randn(size, 8, generator=random) for size in own] for own in sizes]
    configs = [config(1, 4, 0.2), config(2, 6, 0.4), config(1, 3, 0.3), None, config(4, 8, 0.6)]
    return images, configs


def built(rows, *which):
    images, configs = ([part[at] for at in which] for part in rows)
    memory = (
        VisualMemory.from_rows(images)
        if any(images)
        else VisualMemory.empty(len(which), torch.device("cpu"))
    )
    able = [bool(config and own) for config, own in zip(configs, images, strict=True)]
    return Plan.build(
        memory, configs, able, depth=10, magnitude=lambda layer: torch.tensor(0.1 * layer)
    )


@pytest.mark.parametrize(
    "which", [(0,), (1, 4), (4, 3, 2, 1, 0), (0, 0, 1), (2, 3), (1, 2, 1, 3)], ids=str
)
def test_what_is_taken_is_as_if_built_at_once(rows, which):
    equal(built(rows, 0, 1, 2, 3, 4).take(which), built(rows, *which))


@pytest.mark.parametrize(
    ("first", "second"),
    [((0,), (1,)), ((0, 1), (4, 3)), ((2, 3), (0,)), ((1,), (3, 2)), ((2,), (2,))],
)
def test_what_joins_is_as_if_built_at_once(rows, first, second):
    equal(built(rows, *first).join(built(rows, *second)), built(rows, *first, *second))


def test_rows_that_come_and_go_are_as_if_built_at_once(rows):
    plan, now = built(rows, 0, 1), [0, 1]
    for joins, order in [((4,), [2, 0]), ((3, 2), [0, 1, 2, 3]), ((1, 1), [5, 4, 0]), ((0,), [3])]:
        plan, now = plan.join(built(rows, *joins)), [*now, *joins]
        equal(plan, built(rows, *now))
        plan, now = plan.take(order), [now[at] for at in order]
        equal(plan, built(rows, *now))


def test_idle_rows_join_without_a_trace(rows):
    idle = Plan.idle(2, torch.device("cpu"))
    assert idle.layers == ()
    assert not idle.able.any()
    plan = idle.join(built(rows, 0)).join(Plan.idle(1, torch.device("cpu")))
    assert plan.able.flatten().tolist() == [False, False, True, False]
    equal(plan.take([2]), built(rows, 0))
    assert plan.take([0, 3]).layers == ()
    assert plan.take([0, 3]).memory.features.shape[1] == 0
