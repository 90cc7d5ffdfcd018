"""The doctor finds a leaking batch, a lossy stream, and a MemVR that is not off."""

import dataclasses

import pytest
import torch
from hooked import attached

from memvr_integrations.doctor.equalities import (
    batch_equals_alone,
    off_equals_plain,
    stream_equals_whole,
)
from memvr_integrations.doctor.subject import Subject


def test_off_that_is_not_the_plain_model(subject):
    forwards = []

    def drift(module, given, out):  # the same request never again gives the same
        forwards.append(None)
        out.logits.mul_(1 + 1e-3 * len(forwards))

    with attached(subject.backend, drift):
        found = off_equals_plain(subject)
    assert found.outcome == "failed"
    assert found.says.startswith("with 1 picture(s), token 0 is (")
    assert "float32" in found.advice


def test_settings_that_should_never_trigger_and_do(subject):
    subject.never = subject.always
    found = off_equals_plain(subject)
    assert found.outcome == "failed"
    assert "(never triggering) and (" in found.says


def test_an_answer_that_is_cut(subject, changed):
    def cut(requests, answers):
        return [dataclasses.replace(one, tokens=one.tokens[:-1]) for one in answers]

    changed(answers=cut)
    found = off_equals_plain(subject)
    assert found.outcome == "failed"
    assert "token 2 is None (off)" in found.says


def test_what_half_precision_does_not_compare_is_said(subject, monkeypatch):
    monkeypatch.setattr(Subject, "exact", False)
    subject.kinds = [(subject.wide, subject.square)]
    found = off_equals_plain(subject)
    assert found.outcome == "ok"
    assert "not compared with two pictures" in found.says


def leaking(by):
    """In a batch each row gets a share of another one's logits."""

    def leak(module, given, out):
        if len(out.logits) > 1:
            out.logits += by * out.logits.roll(1, 0)

    return leak


@pytest.mark.parametrize("by", [1e-3, 1.0])
def test_a_batch_that_leaks(subject, by):
    with attached(subject.backend, leaking(by)):
        found = batch_equals_alone(subject)
    assert found.outcome == "failed"
    assert "max_batch=1" in found.advice


def nearly_equal(*, in_batch):
    """Two best tokens, 1e-4 apart alone; from the second step on a batch has them otherwise."""

    batches = []

    def level(module, given, out):
        last = out.logits[:, -1]
        best, together = last.max() + 20, len(last) > 1
        batches.extend([None] * together)
        last[:, 300] = best
        if not together:
            last[:, 301] = best - 1e-4
        else:
            last[:, 301] = best + (in_batch if len(batches) > 1 else -2e-3)

    return level


@pytest.mark.parametrize(
    ("exact", "in_batch", "outcome"),
    [(True, 1e-3, "failed"), (False, 1e-3, "ok"), (False, -1e-4, "ok")],
)
def test_in_half_precision_equal_tokens_may_change_places(
    subject, monkeypatch, exact, in_batch, outcome
):
    monkeypatch.setattr(Subject, "exact", exact)
    with attached(subject.backend, nearly_equal(in_batch=in_batch)):
        found = batch_equals_alone(subject)
    assert found.outcome == outcome, found
    assert ("the two best tokens were at most" in found.says) == (in_batch > 0)


def test_in_half_precision_other_tokens_may_not(subject, monkeypatch):
    monkeypatch.setattr(Subject, "exact", False)

    def forget(module, given, out):  # the best token of a batch's first row
        if len(out.logits) > 1:
            out.logits[0, -1, out.logits[0, -1].argmax()] = -torch.inf

    with attached(subject.backend, forget):
        found = batch_equals_alone(subject)
    assert found.outcome == "failed"
    assert 'dtype="float32"' in found.advice


def test_a_batch_that_was_split(make_backend):
    from memvr_integrations.backend import QueueConfig

    subject = Subject(make_backend(queueing=QueueConfig(max_batch=2)), tokens=2)
    found = batch_equals_alone(subject)
    assert (found.outcome, found.says) == ("failed", "5 requests took 3 steps, one by one")


def without_first_letter(chunk):
    return dataclasses.replace(chunk, text=chunk.text[1:])


def without_usage(chunk):
    done = chunk.completion
    usage = done and dataclasses.replace(done.usage, completion_tokens=0)
    return dataclasses.replace(chunk, completion=done and dataclasses.replace(done, usage=usage))


def without_tokens(chunk):
    return dataclasses.replace(chunk, tokens=())


@pytest.mark.parametrize(
    ("change", "what"),
    [(without_first_letter, "text"), (without_tokens, "ids"), (without_usage, "usage")],
)
def test_a_stream_that_loses_something(subject, monkeypatch, change, what):
    stream = subject.backend.stream
    monkeypatch.setattr(subject.backend, "stream", lambda one: map(change, stream(one)))
    found = stream_equals_whole(subject)
    assert found.outcome == "failed"
    assert found.says.startswith(f"the {what} is ")
    assert "without streaming" in found.advice
