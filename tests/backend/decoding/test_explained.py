"""Explanations on the inference thread: what is explained is what was answered."""

import asyncio
import dataclasses
import threading

import pytest
import torch
from rows import EAGER
from waiting import eventually, held_at, idle

from memvr_integrations.backend import QueueConfig, Request, SamplingParams
from memvr_integrations.errors import (
    BackendClosedError,
    ConfigError,
    QueueFullError,
    RequestTimeoutError,
)
from memvr_integrations.explain import ExplainConfig
from memvr_integrations.explain.methods import METHODS

ALL = {"second": False, "tokens": (0, 1, 2, 3)}


@pytest.fixture(scope="module")
def answered(backend, scenes):
    """A request that triggers, and its answer."""
    question = "Describe the image."
    pictures = [scene.pixels for scene in scenes[:2]]
    request = Request.ask(question, *pictures, sampling=SamplingParams(max_tokens=6), memvr=EAGER)
    [done] = backend.generate(request)
    assert any(token.trigger_layer is not None for token in done.tokens[1:])
    return request, done


@pytest.mark.parametrize("method", METHODS)
def test_what_is_explained_is_what_was_computed(backend, answered, method):
    request, done = answered
    explanation = backend.explain(request, done, config=ExplainConfig(method=method, **ALL))
    for number, token in enumerate(explanation.tokens[:4]):
        assert token.score["on"] == pytest.approx(done.tokens[number].logprob, abs=1e-4)
        assert token.entropies == done.tokens[number].entropies
        assert [one.shape for one in token.maps["on"]] == [(8, 8), (8, 8)]
    assert explanation.method == method
    assert explanation.answer == done.text
    assert not explanation.tokens[5].maps


def test_off_is_the_plain_model(backend, answered):
    request, done = answered
    compared = backend.explain(request, done, config=ExplainConfig(**ALL))
    plain = backend.explain(
        dataclasses.replace(request, memvr=None),
        dataclasses.replace(done, memvr=None),
        config=ExplainConfig(**ALL),
    )
    for one, other in zip(compared.tokens[:4], plain.tokens[:4], strict=True):
        assert one.score["off"] == pytest.approx(other.score["off"], abs=1e-5)
        torch.testing.assert_close(
            torch.from_numpy(one.maps["off"][0]), torch.from_numpy(other.maps["off"][0])
        )
    assert any(abs(one.score["on"] - one.score["off"]) > 1e-3 for one in compared.tokens[:4])
    assert compared.difference().any()
    with pytest.raises(ConfigError, match="MemVR on"):
        plain.difference()


def test_yes_is_explained_against_no(backend, ask):
    request = ask("Is there a dog in the picture?", 0, memvr=None, max_tokens=2)
    [done] = backend.generate(request)
    answer = done.tokens[0].text.strip()
    assert answer in ("Yes", "No")
    explanation = backend.explain(request, done, config=ExplainConfig(second=False, tokens=(0,)))
    other = {"Yes": "No", "No": "Yes"}[answer]
    scores = backend.score(request, [answer, other])
    assert explanation.tokens[0].score["off"] == pytest.approx(scores[0] - scores[1], abs=0.05)


def test_the_model_is_left_as_it_was(make_backend, loaded, ask):
    backend = make_backend()
    request = ask("Which?", 0, memvr=EAGER, max_tokens=3)
    [before] = backend.generate(request)
    eventually(lambda: idle(backend))

    def state():
        model = loaded.model
        learning = {name: weight.requires_grad for name, weight in model.named_parameters()}
        return learning, [
            handle
            for module in model.modules()
            for handle in (*module._forward_hooks, *module._forward_pre_hooks)
        ]

    wanted = state()
    for method in METHODS:
        backend.explain(request, before, config=ExplainConfig(method=method))
    eventually(lambda: idle(backend))
    assert state() == wanted
    assert all(weight.grad is None for weight in loaded.model.parameters())
    [again] = backend.generate(request)
    assert again.tokens == before.tokens


async def test_explanations_and_answers_share_the_thread(make_backend, ask):
    backend = make_backend()
    requests = [ask("What is it?", number % 4, memvr=EAGER, max_tokens=8) for number in range(8)]
    expected = [backend.generate(request)[0] for request in requests]
    explained = [
        backend.explain(one, done) for one, done in zip(requests[:2], expected, strict=False)
    ]
    both = await asyncio.gather(
        *(backend.aexplain(one, done) for one, done in zip(requests[:2], expected, strict=False)),
        *(backend.agenerate(request) for request in requests),
    )
    for one, alone in zip(both[:2], explained, strict=True):
        torch.testing.assert_close(
            torch.from_numpy(one.map()), torch.from_numpy(alone.map()), rtol=1e-4, atol=1e-6
        )
    for [got], alone in zip(both[2:], expected, strict=True):
        assert [token.id for token in got.tokens] == [token.id for token in alone.tokens]


def test_an_answer_goes_on_between_two_slices(make_backend, ask, endless):
    backend = make_backend()
    request = ask("What is it?", 0, memvr=None, max_tokens=4)
    [done] = backend.generate(request)
    shares, steps = [], []

    def note(share):
        shares.append(share)
        steps.append(backend._worker.steps)

    with endless(backend) as passes:
        go_on = held_at(passes, 1)
        stream = backend.stream(ask("Where?", 1, memvr=None, max_tokens=200))
        waiting = threading.Thread(
            target=lambda: backend.explain(request, done, progress=note), daemon=True
        )
        waiting.start()
        eventually(lambda: backend._worker._explaining)
        go_on.set()
        waiting.join(60)
        stream.close()
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert steps == sorted(set(steps)), "two slices in one step"


def test_what_cannot_be_explained_is_refused(make_backend, ask, backend):
    plain = Request.ask("Hello?", memvr=None)
    with pytest.raises(ConfigError, match="no image"):
        backend.explain(plain)
    request = ask("Which?", 0, max_tokens=2)
    [done] = backend.generate(request)
    with pytest.raises(ConfigError, match="token 7, and the answer has those from 0 to 1"):
        backend.explain(request, done, config=ExplainConfig(tokens=(7,)))
    with pytest.raises(ConfigError, match="MemVR was off"):
        backend.explain(
            ask("Which?", 0, max_tokens=2, memvr=None), config=ExplainConfig(method="retracing")
        )
    with pytest.raises(ConfigError, match="guess"):
        ExplainConfig(method="guess")


def test_who_leaves_comes_late_or_finds_no_room(make_backend, ask):
    backend = make_backend(queueing=QueueConfig(max_waiting=1))
    request = ask("What is it?", 0, memvr=None, max_tokens=2)
    [done] = backend.generate(request)
    late = dataclasses.replace(request, timeout=1e-6)
    with pytest.raises(RequestTimeoutError):
        backend.explain(late, done)
    eventually(lambda: idle(backend))
    began, go_on = threading.Event(), threading.Event()
    errors = []

    def hold(share):
        began.set()
        assert go_on.wait(60)

    def first():
        try:
            backend.explain(request, done, progress=hold)
        except BackendClosedError as error:
            errors.append(error)

    waiting = threading.Thread(target=first, daemon=True)
    waiting.start()
    assert began.wait(60)
    with pytest.raises(QueueFullError):
        backend.explain(request, done)
    closing = threading.Thread(target=backend.close, daemon=True)
    closing.start()
    eventually(lambda: backend._worker.closed)
    go_on.set()
    closing.join(60)
    waiting.join(60)
    assert len(errors) == 1
