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
