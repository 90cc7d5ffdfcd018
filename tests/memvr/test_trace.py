import json

import pytest
import torch

from memvr_integrations.memvr import RowTrace, Step, Trace
from memvr_integrations.memvr.trace import Record, StepLog


def record(triggers, entropies, *, where=None, prompt=False, images=((1, 2), ())):
    return Record(
        triggers=torch.tensor(triggers, dtype=torch.int16),
        entropies=torch.tensor(entropies),
        where=where,
        layers=(6, 7, 8),
        windows=(frozenset({6, 7, 8}), frozenset({7, 8})),
        images=images,
        prompt=prompt,
    )


FIRST = record([[7], [-1]], [[[0.25, 0.875, 0.5]], [[0.5, 0.25, 0.125]]], prompt=True)


def test_rows_show_as_far_as_they_probed():
    first, second = FIRST.steps()[0].rows
    assert first == RowTrace(entropies={6: 0.25, 7: 0.875}, trigger_layer=7)
    assert second == RowTrace(entropies={7: 0.25, 8: 0.125}, trigger_layer=None)
    assert (first.entropy, second.entropy) == (0.875, 0.25)
    assert RowTrace(entropies={}, trigger_layer=None).entropy is None


def test_layers_that_were_not_reached_are_left_out():
    step = record([[6], [-1]], [[[0.875, -1.0, -1.0]], [[0.875, -1.0, -1.0]]]).steps()[0]
    assert [row.entropies for row in step.rows] == [{6: 0.875}, {}]


def test_where_is_cut_into_images():
    where = torch.tensor([[[0.5, 0.125, 0.375]], [[0.0, 0.0, 0.0]]])
    row, other = record([[7], [-1]], [[[0.0] * 3]] * 2, where=where).steps()[0].rows
    assert [image.tolist() for image in row.where] == [[0.5], [0.125, 0.375]]
    assert other.where is None


def test_a_step_for_each_decision():
    steps = record([[6, -1], [-1, -1]], [[[0.5] * 3] * 2] * 2, prompt=True).steps()
    assert [step.rows[0].trigger_layer for step in steps] == [6, None]
    assert [step.prompt for step in steps] == [True, False]


def test_reading_the_newest_reads_nothing_older():
    trace = Trace()
    assert trace.latest() is None
    trace.record(None)
    trace.record(FIRST)
    assert trace.latest() == FIRST.steps()[0]
    with pytest.raises(AttributeError):
        _ = trace.steps


def test_steps_are_read_once_and_stay():
    trace = Trace()
    trace.record(FIRST)
    before = trace.steps
    trace.record(FIRST)
    assert trace.steps[0] is before[0]
    assert len(trace.steps) == 2
    assert trace.latest() is trace.steps[-1]
    assert isinstance(trace.latest(), Step)


def test_the_summary_is_json():
    trace = Trace()
    trace.record(FIRST)
    trace.record(record([[7], [8]], [[[0.5] * 3]] * 2))
    trace.record(record([[6], [-1]], [[[0.5] * 3], [[-1.0] * 3]]))
    assert trace.retraced == 4
    summary = {
        "steps": 3,
        "decisions": 5,
        "retraced": 4,
        "share": 0.8,
        "trigger_layers": {6: 1, 7: 2, 8: 1},
    }
    assert trace.summary() == summary
    json.dumps(summary)
    assert Trace().summary()["share"] == 0


def test_a_log_is_read_in_order():
    trace, log = Trace(), StepLog(FIRST, capacity=4)
    trace.record(FIRST)
    trace.open_log(log)
    second = record([[8], [7]], [[[0.5, 0.25, 0.75]], [[0.0, 0.75, 0.0]]])
    log.write(second.triggers, second.entropies, None)
    log.write(FIRST.triggers, FIRST.entropies, None)
    assert trace.steps[1] == second.steps()[0]
    assert [step.prompt for step in trace.steps] == [True, False, False]
    log.write(second.triggers, second.entropies, None)
    trace.open_log(None)
    assert len(trace.steps) == 4
