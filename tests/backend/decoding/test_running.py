"""What fails begins again: a row alone, or half as many where memory runs out."""

import asyncio
import itertools
import weakref

import pytest
import torch
from hooked import attached
from rows import EAGER, alone, ids
from waiting import come_later, eventually, idle, together

from memvr_integrations.backend.decoding.group import Group
from memvr_integrations.errors import GenerationError, MemoryExhaustedError, MemVRError

OUT = torch.OutOfMemoryError("CUDA out of memory")


def failing(monkeypatch, reason):
    """Let groups fail where `reason(what, rows)` gives an exception; what was tried, and rows."""
    tried = []

    def attempted(what, plain, rows_of):
        def attempt(group, *given):
            rows = rows_of(group, *given)
            tried.append((what, len(rows)))
            if error := reason(what, rows):
                raise error
            plain(group, *given)

        return attempt

    rows_of = {
        "read": lambda group, rows: rows,
        "join": lambda group: [*group.rows, *group._joining.rows],
        "step": lambda group: group.rows,
    }
    for what, found in rows_of.items():
        monkeypatch.setattr(Group, what, attempted(what, getattr(Group, what), found))
    return tried


def asked(row):
    return row.job.request.messages[0].content[-1].text


# -- one row's fault


@pytest.mark.parametrize("where", ["read", "join", "step"])
async def test_a_row_that_breaks_spoils_its_own_answer(fresh, ask, monkeypatch, endless, where):
    requests = [ask(f"{word}?", 0, max_tokens=4, memvr=EAGER) for word in ("one", "bad", "two")]
    with endless(fresh):
        expected = alone(fresh, requests)

        def reason(what, rows):
            bad = what == where and any("bad" in asked(row) for row in rows)
            return ArithmeticError("no numbers left") if bad else None

        tried = failing(monkeypatch, reason)
        with together(fresh, rows=3):
            results = await asyncio.gather(
                *(fresh.agenerate(one) for one in requests), return_exceptions=True
            )
    assert isinstance(results[1], GenerationError)
    assert "ArithmeticError: no numbers left" in str(results[1])
    assert isinstance(results[1].__cause__, ArithmeticError)
    assert (where, 3) in tried
    assert ids([results[0][0], results[2][0]]) == ids([expected[0], expected[2]])


def test_a_step_that_fails_once_is_computed_again_by_every_row_alone(
    fresh, ask, monkeypatch, endless
):
    requests = [ask("Describe.", n, max_tokens=5, memvr=EAGER) for n in range(3)]
    with endless(fresh):
        expected = alone(fresh, requests)
        errors = iter([None, ValueError("odd")])
        tried = failing(monkeypatch, lambda what, rows: what == "step" and next(errors, None))
        assert ids(fresh.generate(requests)) == ids(expected)
    assert [rows for what, rows in tried if what == "read"] == [3, 1, 1, 1]
    assert {rows for what, rows in tried[4:]} == {1}


@pytest.mark.parametrize("where", ["read", "join"])
def test_a_prompt_that_fails_once_costs_those_who_run_nothing(
    fresh, ask, monkeypatch, endless, where
):
    """While the model is held, two come; their reading or joining fails the first time."""
    first = ask("Describe.", 0, max_tokens=12, memvr=EAGER)
    later = [ask("What?", n, max_tokens=4, memvr=EAGER) for n in (1, 2)]
    with endless(fresh) as passes:
        expected = alone(fresh, [first, *later])
        errors = iter([None, ValueError("odd")])
        failing(monkeypatch, lambda what, rows: what == where and next(errors, None))
        chunks, joined = come_later(fresh, passes, first, later)
    assert ids([chunks[-1].completion, *joined]) == ids(expected)
    assert [t for chunk in chunks for t in chunk.tokens] == list(chunks[-1].completion.tokens)


# -- memory


@pytest.mark.parametrize(
    "error",
    [
        OUT,
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_where_memory_runs_out_half_as_many_run_at_once(fresh, ask, monkeypatch, endless, error):
    requests = [ask(f"{n}?", n, max_tokens=4) for n in range(6)]
    with endless(fresh):
        expected = fresh.generate(requests)
        tried = failing(
            monkeypatch, lambda what, rows: error if what == "step" and len(rows) > 2 else None
        )
        assert ids(fresh.generate(requests)) == ids(expected)
    reads = [rows for what, rows in tried if what == "read"]
    assert reads == [6, 3, 1, 1, 1, 1, 1, 1]
    eventually(lambda: idle(fresh))
    assert fresh._worker._running.most is None  # and then as many as before
    del tried[:]
    monkeypatch.undo()
    tried = failing(monkeypatch, lambda what, rows: None)
    fresh.generate(requests)
    assert tried[0] == ("read", 6)


def test_where_prompts_need_too_much_fewer_are_read_at_once(fresh, ask, monkeypatch, endless):
    requests = [ask(f"{n}?", n, max_tokens=4) for n in range(6)]
    with endless(fresh):
        expected = fresh.generate(requests)
        tried = failing(
            monkeypatch, lambda what, rows: OUT if what == "read" and len(rows) > 2 else None
        )
        assert ids(fresh.generate(requests)) == ids(expected)
    assert [rows for what, rows in tried if what == "read"] == [6, 3, 1, 1, 1, 3, 1, 1, 1]
    assert [rows for what, rows in tried if what == "step"] == [6] * 3


def test_a_prompt_for_which_memory_lacks_waits_for_others_to_leave(
    fresh, ask, monkeypatch, endless
):
    requests = [ask("Describe.", 0, max_tokens=6), ask("And " * 40 + "this?", 1, max_tokens=3)]
    with endless(fresh):
        expected = alone(fresh, requests)

        def reason(what, rows):
            beside = bool(fresh._worker._running.rows)
            return OUT if what == "read" and beside else None

        tried = failing(monkeypatch, reason)
        assert ids(fresh.generate(requests)) == ids(expected)
    # The second was tried beside the first, and begins when that is done.
    begun = [("read", 1), ("join", 1)]
    assert tried == [*begun, ("read", 1), *[("step", 1)] * 5, *begun, *[("step", 1)] * 2]


def test_out_of_memory_for_a_single_request_gives_advice(fresh, ask, monkeypatch):
    failing(monkeypatch, lambda what, rows: OUT)
    with pytest.raises(
        MemoryExhaustedError, match=r"smaller images.*quantization='4bit'"
    ) as caught:
        fresh.generate([ask("One?"), ask("Two?")])
    assert isinstance(caught.value, MemVRError | MemoryError)
    assert caught.value.__cause__ is OUT
    monkeypatch.undo()
    assert fresh.generate(ask(max_tokens=1))[0].tokens


def test_a_log_says_how_it_went_and_never_what_was_asked(fresh, ask, monkeypatch, caplog, endless):
    errors = {"read": MemoryError(), "step": ValueError("odd")}
    failing(monkeypatch, lambda what, rows: errors.get(what) if len(rows) > 1 else None)
    with caplog.at_level("DEBUG", logger="memvr_integrations"), endless(fresh):
        fresh.generate([ask("Secret?", n, max_tokens=2) for n in (0, 1)])
    assert "2 rows begin; 2 run" in caplog.messages
    assert "reading 2 prompts ran out of memory; 1 at a time now" in caplog.messages
    assert "a step of 2 rows failed (ValueError); they begin again" in caplog.messages
    assert "encoded an image as 64 tokens" in caplog.messages
    assert "Secret" not in caplog.text


def test_what_a_failed_step_held_is_let_go_before_its_rows_begin_again(fresh, ask, monkeypatch):
    """Out of memory is no time to keep tensors."""
    held, seen = [], []
    read, step = Group.read, Group.step

    def fail(group):
        if len(group.rows) > 1:
            large = torch.zeros(1000)
            held.append(weakref.ref(large))
            raise OUT
        step(group)

    def note(group, rows):
        seen.extend(ref() is not None for ref in held)
        read(group, rows)

    monkeypatch.setattr(Group, "step", fail)
    monkeypatch.setattr(Group, "read", note)
    fresh.generate([ask(max_tokens=2, min_tokens=2), ask(max_tokens=2, min_tokens=2)])
    assert held
    assert seen
    assert not any(seen)


# -- what was given


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), ValueError("odd")])
async def test_what_was_given_stays_true_after_a_retry(fresh, ask, endless, error):
    """Rows whose fifth step fails go on where they were, sampled or not."""
    requests = [
        ask("Describe.", 0, max_tokens=10, temperature=1.5, seed=5, n=2),
        ask("Describe.", 1, max_tokens=12),
        ask("Unseeded.", max_tokens=9, temperature=2.0),
    ]
    with endless(fresh) as passes:
        expected = [(await fresh.agenerate(one))[0] for one in requests[:2]]
        steps = itertools.count()

        def fail_once(rows):
            if rows > 2 and next(steps) == 5:
                raise error

        async def collect(request):
            chunks = [chunk async for chunk in fresh.astream(request)]
            for index in range(request.sampling.n):
                own = [chunk for chunk in chunks if chunk.index == index]
                completion = own[-1].completion
                assert "".join(chunk.text for chunk in own) == completion.text
                given = tuple(token for chunk in own for token in chunk.tokens)
                assert given == completion.tokens
                assert len(given) == request.sampling.max_tokens
            return {chunk.index: chunk.completion for chunk in chunks if chunk.completion}

        passes.before = fail_once
        with together(fresh, rows=4):
            got = await asyncio.gather(*(collect(request) for request in requests))
    assert next(steps) > 5
    assert ids(got[0].values()) == ids([expected[0], expected[0].alternatives[0]])
    assert ids([got[1][0]]) == ids([expected[1]])


def test_a_retry_goes_on_from_the_given_tokens_even_if_it_would_choose_others(fresh, ask):
    """Rows alone and rows together may round differently: what was given is forced."""
    requests = [ask("Describe.", n, memvr=None, max_tokens=8) for n in (0, 1)]
    forwards, failing_once = 0, False

    def disturb(module, args, out):
        nonlocal forwards
        out.logits[..., 2] = -torch.inf
        if failing_once:
            forwards += 1
            if forwards == 5:
                raise ValueError("after four tokens")
            # The two take turns: these are the first four tokens of both.
            if forwards > 5 and (forwards - 6) // 2 < 4:
                out.logits[..., 700] = 1000.0
        return out

    with attached(fresh, disturb):
        expected = fresh.generate(requests)
        failing_once = True
        got = fresh.generate(requests)
    assert forwards == 5 + 2 * 8
    assert ids(got) == ids(expected)
