"""What was read before is not read again, and makes no difference to any answer."""

import dataclasses

import pytest
import torch
from rows import EAGER
from waiting import eventually, idle

from memvr_integrations.backend import Image, Message, Request, SamplingParams
from memvr_integrations.memvr import blindfolded

LAST = dataclasses.replace(EAGER, scope="last")
NEVER = dataclasses.replace(EAGER, entropy_threshold=1.0)
KEPT = 2**28
QUESTIONS = ("What is it?", "Is there a dog in the picture?", "Is there a cat?", "How many cups?")


def same(one, other):
    assert [(t.id, t.trigger_layer) for t in one.tokens] == [
        (t.id, t.trigger_layer) for t in other.tokens
    ]
    for mine, theirs in zip(one.tokens, other.tokens, strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert mine.entropy == pytest.approx(theirs.entropy, abs=1e-4)


def kept(backend):
    return backend._worker.decoder.prefixes


@pytest.fixture
def alone(loaded, make_backend):
    """Answers on a backend that keeps nothing."""

    def answers(requests):
        backend = make_backend(prefix_bytes=0)
        found = [backend.generate(request)[0] for request in requests]
        assert kept(backend).hits == 0
        backend.close()
        return found

    return answers


@pytest.mark.parametrize("config", [None, EAGER, LAST, NEVER], ids=["off", "all", "last", "never"])
def test_more_questions_about_a_picture(make_backend, ask, alone, config):
    requests = [ask(one, 0, memvr=config, max_tokens=4) for one in QUESTIONS]
    requests += [ask(one, 1, memvr=config, max_tokens=4) for one in QUESTIONS[:2]]
    expected = alone(requests)
    backend = make_backend(prefix_bytes=KEPT)
    for request, answer in zip(requests, expected, strict=True):
        same(backend.generate(request)[0], answer)
    untouched = [one for one in expected if one.tokens[0].trigger_layer is None]
    if config in (None, LAST, NEVER):
        assert kept(backend).hits == 4  # all but the first ones
        assert kept(backend).tokens > 4 * 64
    elif config is EAGER:
        assert len(untouched) < len(expected)  # else it would be as with `NEVER`


def test_many_questions_about_a_picture_at_once(make_backend, ask, alone):
    for config in (None, EAGER):
        requests = [ask(one, 2, memvr=config, max_tokens=3) for one in QUESTIONS]
        expected = alone(requests)
        backend = make_backend(prefix_bytes=KEPT)
        for one, other in zip(backend.generate(requests), expected, strict=True):
            same(one, other)
        if config is None:
            assert kept(backend).hits == 3
        backend.close()


def test_what_is_retraced_is_read_plainly_beside_it(make_backend, ask, alone):
    """From the second time on that a picture is asked about again."""
    always = dataclasses.replace(EAGER, entropy_threshold=0.0)
    first = ask("What is it?", 3, memvr=always, max_tokens=2)
    then = [ask("Is there a dog?", 3, memvr=one, max_tokens=3) for one in (NEVER, always)]
    expected = alone([first, *then])
    backend = make_backend(prefix_bytes=KEPT)
    backend.generate(first)
    assert kept(backend).hits == 0
    for question in ("Seen?", "Seen again?"):
        backend.generate(ask(question, 4, memvr=None, max_tokens=1))
    hits = kept(backend).hits
    same(backend.generate(first)[0], expected[0])
    assert kept(backend).hits == hits
    same(backend.generate(then[0])[0], expected[1])
    assert kept(backend).hits == hits + 1
    same(backend.generate(then[1])[0], expected[2])  # triggers, and is read whole
    assert kept(backend).hits == hits + 1


@pytest.mark.parametrize("config", [None, EAGER, LAST], ids=["off", "all", "last"])
def test_the_next_turn_of_a_conversation(make_backend, scenes, alone, config):
    turns = [Message("user", [Image(scenes[0].pixels), "What is in the picture?"])]
    requests = []
    for answer, question in (("A dog.", "And this?"), ("A cat.", "Are you sure?")):
        new = Image(scenes[1].pixels) if question == "And this?" else question
        turns = [*turns, Message("assistant", answer), Message("user", [new, question])]
        sampling = SamplingParams(max_tokens=4)
        requests.append(Request(messages=tuple(turns), sampling=sampling, memvr=config))
    expected = alone(requests)
    backend = make_backend(prefix_bytes=KEPT)
    for request, answer in zip(requests, expected, strict=True):
        same(backend.generate(request)[0], answer)
    if config is not EAGER:
        assert kept(backend).hits == 1
        assert kept(backend).tokens > 2 * 64


def test_another_picture_is_never_taken_for_the_same(make_backend, ask, alone):
    shown = (0, 1), (0, 2), (2, 1), (0,)
    requests = [ask("Which?", *numbers, memvr=None, max_tokens=4) for numbers in shown]
    expected = alone(requests)
    backend = make_backend(prefix_bytes=KEPT)
    for request, answer in zip(requests, expected, strict=True):
        same(backend.generate(request)[0], answer)


def test_a_changed_model_reads_everything_anew(make_backend, loaded, ask):
    backend = make_backend(prefix_bytes=KEPT)
    question = ask("What is it?", 0, memvr=None, max_tokens=2)
    [seen] = backend.generate(question)
    [again] = backend.generate(ask("What is this?", 0, memvr=None, max_tokens=2))
    assert kept(backend).hits == 1
    with blindfolded(loaded.model, from_layer=0):
        [blind] = backend.generate(question)
    assert blind.tokens[0].logprob != pytest.approx(seen.tokens[0].logprob, abs=1e-3)
    [after] = backend.generate(question)
    same(after, seen)
    assert kept(backend).hits == 1
    weight = loaded.model.get_decoder().layers[0].mlp.down_proj.weight
    before = weight.detach().clone()
    eventually(lambda: idle(backend))
    with torch.no_grad():
        weight.mul_(1.01)
    [other] = backend.generate(ask("What is this?", 0, memvr=None, max_tokens=2))
    eventually(lambda: idle(backend))
    with torch.no_grad():
        weight.copy_(before)
    assert other.tokens[0].logprob != again.tokens[0].logprob
    assert kept(backend).hits == 1


@pytest.mark.parametrize("part", ["head", "projector", "up-projection"])
def test_nothing_made_of_weights_outlives_their_change(make_backend, loaded, ask, part):
    model = loaded.model
    weight = {
        "head": model.lm_head.weight,
        "projector": model.model.multi_modal_projector.linear_1.weight,
        "up-projection": model.get_decoder().layers[2].mlp.up_proj.weight,
    }[part]
    question = ask("What is it?", 0, memvr=EAGER, max_tokens=3)
    backend = make_backend(prefix_bytes=KEPT)
    [seen] = backend.generate(question)
    eventually(lambda: idle(backend))
    before = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(1.5)
    try:
        [changed] = backend.generate(question)
        [expected] = make_backend().generate(question)
        same(changed, expected)
        assert changed.tokens[0].logprob != seen.tokens[0].logprob
    finally:
        eventually(lambda: idle(backend))
        with torch.no_grad():
            weight.copy_(before)


def test_what_is_kept_is_bounded(make_backend, ask):
    one = make_backend(prefix_bytes=10**9)
    one.generate(ask("What is it?", 0, memvr=None, max_tokens=1))
    size = kept(one)._size
    assert size > 0
    one.close()
    backend = make_backend(prefix_bytes=int(2.5 * size))
    for number in range(5):
        backend.generate(ask("What is it?", number, memvr=None, max_tokens=1))
    assert len(kept(backend)._kept) == 2
    assert kept(backend)._size <= 2.5 * size
    backend.generate(ask("Is it?", 4, memvr=None, max_tokens=1))
    backend.generate(ask("Is it?", 0, memvr=None, max_tokens=1))
    assert kept(backend).hits == 1
