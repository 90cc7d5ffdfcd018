"""Groups and searches side by side: they take turns by step."""

import contextlib
import itertools

import pytest
from hooked import attached
from rows import EAGER, alone, ids
from waiting import come_later, eventually, idle

from memvr_integrations.errors import GenerationError, MemVRError
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types.decoding import OPERAConfig


def test_searches_take_turns_with_rows_and_one_another(make_backend, ask, endless):
    backend = make_backend()
    search = OPERAConfig(beams=3, candidates=2)
    requests = [
        ask("What?", 0, max_tokens=6, memvr=None, decoding=search),
        ask("What?", 1, max_tokens=4, memvr=None, decoding=search),
        ask("Where?", 2, max_tokens=3, memvr=EAGER),
    ]
    with endless(backend) as passes:
        expected = alone(backend, requests)
        del passes.rows[:]
        got = backend.generate(requests)
    assert ids(got) == ids(expected)
    # The row is done before the first search, and the second begins after it.
    ones = [at for at, rows in enumerate(passes.rows) if rows == 1]
    assert len(ones) == 3
    assert ones[-1] < 6 * 3
    assert passes.rows[6 * 3 + 3 :] == [3] * 12


def test_searches_that_wait_hold_up_nobody(make_backend, ask, endless):
    from memvr_integrations.backend import QueueConfig

    backend = make_backend(queueing=QueueConfig(max_batch=2))
    search = OPERAConfig(beams=3, candidates=1)
    requests = [
        *[ask("What?", n, max_tokens=4, memvr=None, decoding=search) for n in range(3)],
        ask("Where?", max_tokens=2),
    ]
    with endless(backend) as passes:
        backend.generate(requests)
    assert max(at for at, rows in enumerate(passes.rows) if rows == 1) < 4 * 2 + 2


def test_a_search_whose_step_fails_is_reported_and_leaves_the_model(fresh, ask, monkeypatch):
    search = ask("What?", 0, max_tokens=4, memvr=None, decoding=OPERAConfig(beams=2, candidates=1))
    attention = fresh._host.model.model.language_model.layers[-1].self_attn
    before, count = attention.config, itertools.count()

    def fail(module, args, out):
        if next(count) == 3:
            raise ValueError("odd")

    with attached(fresh, fail), pytest.raises(GenerationError, match="ValueError: odd"):
        fresh.generate(search)
    eventually(lambda: idle(fresh))
    assert attention.config is before
    assert fresh.generate(search)[0].tokens


def test_formulas_take_turns_and_never_mix(make_backend, ask, endless):
    backend = make_backend()
    other = MemVRConfig(
        starting_layer=1,
        ending_layer=5,
        entropy_threshold=0.3,
        retracing_ratio=0.25,
        activation="silu",
        norm_before_head=False,
    )
    configs = [EAGER, other, EAGER, None, other]
    requests = [
        ask("Describe.", n, memvr=config, max_tokens=4 + n) for n, config in enumerate(configs)
    ]
    with endless(backend) as passes:
        expected = alone(backend, requests)
        before = backend.steps
        del passes.rows[:]
        got = backend.generate(requests)
        assert backend.steps - before == 7
        assert {2, 3} <= set(passes.rows)
    assert ids(got) == ids(expected)
    for one, same in zip(got, expected, strict=True):
        assert [t.trigger_layer for t in one.tokens] == [t.trigger_layer for t in same.tokens]
    assert got[0].tokens[0].entropy != got[1].tokens[0].entropy


def test_a_row_without_memvr_lets_no_other_formula_in(make_backend, ask, endless):
    """Rows that begin together join one group: all of them have to go with it."""
    backend = make_backend()
    other = EAGER.changed({"activation": "silu", "retracing_ratio": 0.9})
    first = ask("Describe.", 0, memvr=EAGER, max_tokens=12)
    later = [ask("What?", 1, memvr=None, max_tokens=6), ask("What?", 2, memvr=other, max_tokens=6)]
    with endless(backend) as passes:
        expected = alone(backend, [first, *later])
        chunks, joined = come_later(backend, passes, first, later)
    for one, same in zip([chunks[-1].completion, *joined], expected, strict=True):
        assert [t.id for t in one.tokens] == [t.id for t in same.tokens]
        assert [t.logprob for t in one.tokens] == pytest.approx(
            [t.logprob for t in same.tokens], abs=1e-4
        )


def test_closing_in_the_middle_leaves_the_model_as_it_was(loaded, make_backend, ask, endless):
    backend = make_backend()
    hooks = [len(module._forward_hooks) for module in loaded.model.modules()]
    with endless(backend) as passes:
        stream = backend.stream(ask("What?", 0, max_tokens=900, memvr=EAGER))
        next(stream)
        assert passes.forwards
        backend.close()
    with contextlib.suppress(MemVRError):
        list(stream)
    assert [len(module._forward_hooks) for module in loaded.model.modules()] == hooks
