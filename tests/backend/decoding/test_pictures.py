"""Pictures of rows that begin together go through the tower together, and spoil no other row."""

import asyncio

import pytest
import torch
from rows import EAGER, ids
from waiting import eventually, idle, together

from memvr_integrations.backend.hosting import vision
from memvr_integrations.backend.images import read_image
from memvr_integrations.errors import GenerationError, MemoryExhaustedError
from memvr_integrations.types.decoding import OPERAConfig, VCDConfig

OTHER = EAGER.changed({"activation": "silu"})


@pytest.fixture
def calls(loaded):
    """How many pictures each call of the tower reads; what is set as `before` may raise."""

    class Calls(list):
        def before(self, count):
            pass

        def noting(self, module, args, given):
            self.append(len(args[0] if args else given["pixel_values"]))
            self.before(self[-1])

    noted = Calls()
    handle = loaded.model.model.vision_tower.register_forward_pre_hook(
        noted.noting, with_kwargs=True
    )
    yield noted
    handle.remove()


def test_all_that_begin_together_are_encoded_in_one_call(fresh, ask, calls):
    """Whatever divides their prompts: formulas, lengths, and some without a picture."""
    requests = [
        ask("Describe.", 0, memvr=EAGER, max_tokens=3),
        ask("Describe.", 1, memvr=OTHER, max_tokens=3),
        ask("And " * 60 + "this?", 2, max_tokens=3),
        ask("Hello.", max_tokens=3),
        ask("Which?", 3, 0, max_tokens=3),
    ]
    got = fresh.generate(requests)
    assert calls == [4]
    assert fresh.images_encoded == 4
    fresh.generate(requests)
    assert calls == [4]  # all are kept
    fresh.generate([ask("Who?", 0, 4, max_tokens=1), ask("Who?", 5, max_tokens=1)])
    assert calls == [4, 2]
    again = [fresh.generate(request)[0] for request in requests]
    assert ids(got) == ids(again)


def test_what_the_cache_has_no_room_for_is_encoded_once_in_a_step(make_backend, ask, calls):
    backend = make_backend(cache_bytes=0)
    requests = [ask("Who?", n, memvr=c, max_tokens=1) for n, c in enumerate([EAGER, OTHER, None])]
    search = ask("Who?", 3, memvr=None, max_tokens=1, decoding=OPERAConfig(beams=2, candidates=1))
    backend.generate([*requests, ask("Where?", 0, max_tokens=1), search])
    assert (sum(calls), backend.images_encoded) == (4, 4)
    eventually(lambda: idle(backend))
    assert backend._host.vision._held is None


def test_kept_features_take_the_memory_that_the_cache_counts(fresh, ask, calls):
    fresh.generate([ask("Who?", n, max_tokens=1) for n in range(4)])
    assert calls == [4]
    cache = fresh._host.vision._cache
    kept = [tensor for one in cache._kept.values() for tensor in one.tokens]
    assert len(kept) == 4
    assert sum(tensor.untyped_storage().nbytes() for tensor in kept) == cache.size


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"_MOST": 3}, [3, 3]), ({"_MOST_BYTES": 5 * 128 * 128 * 3 * 4}, [5, 1])],
    ids=["pictures", "bytes"],
)
def test_a_call_is_bounded(make_backend, ask, calls, monkeypatch, limits, expected):
    for name, limit in limits.items():
        monkeypatch.setattr(vision, name, limit)
    make_backend().generate([ask("Who?", n, max_tokens=1) for n in range(6)])
    assert calls == expected


def test_a_family_that_was_not_seen_to_agree_is_encoded_one_by_one(
    make_backend, ask, calls, monkeypatch
):
    monkeypatch.setattr(vision, "ENCODED_TOGETHER", {"another"})
    make_backend().generate([ask("Who?", n, max_tokens=1) for n in range(3)])
    assert calls == [1, 1, 1]


def test_where_memory_runs_out_half_as_many_are_encoded_at_once(fresh, ask, calls, endless):
    requests = [ask(f"{n}?", n, memvr=EAGER, max_tokens=3) for n in range(6)]
    with endless(fresh):
        expected = [fresh.generate(request)[0] for request in requests]
        fresh._host.vision._cache._kept.clear()
        del calls[:]

        def before(count):
            if count > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")

        calls.before = before
        got = fresh.generate(requests)
    assert calls == [6, 3, 1, 2, 3, 1, 2]
    assert ids(got) == ids(expected)


def test_a_request_of_several_pictures_needs_no_more_memory_than_one_of_them(fresh, ask, calls):
    def before(count):
        if count > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    calls.before = before
    assert fresh.generate(ask("Which?", 0, 1, 2, max_tokens=1))[0].tokens
    assert calls == [3, 1, 2, 1, 1]


@pytest.mark.parametrize("error", [ValueError("odd"), torch.OutOfMemoryError("out of memory")])
@pytest.mark.parametrize("alike", [True, False], ids=["one batch", "two batches"])
async def test_a_picture_that_fails_spoils_its_own_answer(
    fresh, ask, monkeypatch, endless, error, alike
):
    others = [ask("What?", n, memvr=EAGER if n or alike else OTHER, max_tokens=3) for n in (0, 1)]
    bad = ask("What?", 2, memvr=EAGER, max_tokens=3)
    broken = read_image(bad.images[0].source).hash
    waiting = fresh._host.vision._waiting

    def failing(key, picture, copies):
        if picture.hash == broken:
            raise error
        return waiting(key, picture, copies)

    with endless(fresh):
        expected = [(await fresh.agenerate(one))[0] for one in others]
        fresh._host.vision._cache._kept.clear()
        monkeypatch.setattr(fresh._host.vision, "_waiting", failing)
        with together(fresh, rows=3):
            results = await asyncio.gather(
                *(fresh.agenerate(one) for one in (others[0], bad, others[1])),
                return_exceptions=True,
            )
    assert isinstance(results[1], GenerationError | MemoryExhaustedError)
    assert ids([results[0][0], results[2][0]]) == ids(expected)


async def test_who_left_has_no_picture_encoded(fresh, ask, calls, endless):
    with endless(fresh), together(fresh, rows=2):
        leaving = asyncio.ensure_future(fresh.agenerate(ask("What?", 0, memvr=EAGER)))
        while not fresh._worker._waiting:
            await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        staying = [ask("Who?", 1, memvr=c, max_tokens=1) for c in (EAGER, OTHER)]
        done = await asyncio.gather(*(fresh.agenerate(one) for one in staying))
    assert all(answer.tokens for [answer] in done)
    assert calls == [1]


def test_noise_is_a_pictures_own_however_many_are_encoded(fresh, ask, calls, endless):
    requests = [
        ask("What?", n, memvr=None, max_tokens=3, decoding=VCDConfig(noise_step=500))
        for n in (0, 1)
    ]
    with endless(fresh):
        got = fresh.generate(requests)
        assert sorted(calls) == [2, 2]
        fresh._host.vision._cache._kept.clear()
        assert ids(got) == ids(fresh.generate(one)[0] for one in requests)
