"""Rows that join and leave at random: whoever comes and goes meanwhile, each is itself alone.

Requests of every kind come at given steps of the loop, and their callers leave at others, so that
a seed is always the same course of events.
"""

import random
from dataclasses import dataclass, field, replace
from queue import Empty

import pytest
from asks import Ask, Asks
from calling import Heard, call
from judging import faults
from waiting import eventually, idle
from worlds import world

from memvr_integrations.backend.serving.inbox import BlockingInbox
from memvr_integrations.errors import MemVRError

# Plain; rope in three dimensions; a sliding window; sums of the past; a prompt that sees itself.
KINDS = ("llava", "qwen2_5_vl", "gemma3", "qwen3_5", "paligemma")

# The processor of PaliGemma hands tensors to NumPy in a way that it will forbid.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::memvr_integrations.errors.MemVRWarning"),
]


@dataclass(eq=False)
class Caller:
    """Who asks at a step, and perhaps leaves some steps later."""

    ask: Ask
    comes: int
    stays: int | None
    inbox: BlockingInbox = field(init=False)

    def __post_init__(self):
        self.inbox = BlockingInbox(self.ask.request, pieces=True)

    def heard(self):
        """All that came, once nothing runs any more."""
        heard = Heard(left=self.inbox.left.is_set())
        while True:
            try:
                event = self.inbox._events.get_nowait()
            except Empty:
                break
            if isinstance(event, MemVRError):
                heard.error = event
            else:
                heard.pieces[event.index].add(event)
        if not heard.left and heard.error is None:
            heard.streamed(self.ask)
        return heard


class Course:
    """Lets callers come and go between the steps of a backend."""

    def __init__(self, backend, callers):
        self._backend, self._running = backend, backend._worker._running
        self._coming = sorted(callers, key=lambda one: one.comes)
        self._leaving = [one for one in callers if one.stays is not None]
        self._plain, self._now = self._running.step, 0
        self.most = 0  # rows that ran at once

    def run(self):
        self._running.step = self._step
        try:
            self._let_in()
            eventually(lambda: not self._coming and idle(self._backend), 600)
        finally:
            del self._running.step

    def _step(self):
        self.most = max(self.most, len(self._running.rows))
        self._plain()
        self._now += 1
        self._let_in()
        for one in self._leaving:
            if one.comes + one.stays <= self._now:
                one.inbox.cancel()

    def _let_in(self):
        worker, running = self._backend._worker, self._running
        if self._coming and not (running.rows or running.again or worker._waiting):
            self._now = max(self._now, self._coming[0].comes)
        due = [one for one in self._coming if one.comes <= self._now]
        self._coming = [one for one in self._coming if one.comes > self._now]
        jobs = []
        for one in due:
            try:
                jobs.append(self._backend._intake.job(one.inbox))
            except MemVRError as error:
                one.inbox.put(error)
        worker.submit(*jobs)  # all at once, so that they begin together


def shaped(rng, request):
    """Some requests with penalties, a bias, likely tokens or a least length."""
    if (request.strategy is not None and request.strategy.whole) or rng.random() < 0.7:
        return request
    sampling = replace(
        request.sampling,
        presence_penalty=rng.choice((0.0, 0.8)),
        frequency_penalty=rng.choice((0.0, 0.5)),
        logit_bias=rng.choice((None, {300: 4.0, 301: -50.0})),
        min_tokens=rng.randint(0, min(4, request.sampling.max_tokens)),
        top_logprobs=rng.choice((0, 0, 3)),
    )
    return replace(request, sampling=sampling)


def callers_of(material, seed, count):
    made, asks, step = [], Asks(seed, material), 0
    for number in range(count):
        rng = random.Random(f"{seed}/{number}/steps")
        ask = asks(number)
        leaves = rng.random() < 0.25
        ask = replace(
            ask,
            request=shaped(rng, replace(ask.request, timeout=None)),
            way="stream",
            leaving="closed" if leaves else None,
            hurried=False,
        )
        step += rng.choice((0, 0, 0, 1, 2, 5))
        made.append(Caller(ask, step, rng.randint(0, 12) if leaves else None))
    return made


def compared(models, seed, count):
    """What was wrong with each, how many rows ran at once, and how many tokens had a trigger."""
    config = models.busy.model.config.get_text_config()
    if "linear_attention" in (getattr(config, "layer_types", None) or ()):
        # Sums of the past carry rounding on from token to token: here it shall be no excuse.
        for backend in (models.busy, models.alone):
            student = backend._host.students.get(models.material.student)
            for model in (student.model, backend.model):
                model.double()
    callers = callers_of(models.material, seed, count)
    course = Course(models.busy, callers)
    course.run()
    wrong, triggers = [], 0
    for one in callers:
        heard = one.heard()
        alone = call(models.alone, replace(one.ask, way="generate", leaving=None))
        wrong += faults(one.ask, heard, alone)
        if alone.whole is not None:
            triggers += alone.whole.retraced
    return wrong, course.most, triggers


@pytest.mark.parametrize("kind", KINDS[:3])
def test_each_row_is_itself_alone_whoever_comes_and_goes(kind):
    with world(kind) as models:
        wrong, most, triggers = compared(models, seed=KINDS.index(kind), count=10)
    assert not wrong
    assert most > 2
    assert triggers


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [*KINDS, "idefics3", "qwen3_vl_moe", "gemma4", "bundled"])
def test_many_of_them(kind, seed):
    with world(kind) as models:
        wrong, most, triggers = compared(models, seed=seed, count=300)
    assert not wrong
    assert most > 8
    assert triggers
