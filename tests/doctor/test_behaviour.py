"""The doctor finds triggers that don't act, or act where they must not, and broken schemas."""

import dataclasses

import pytest

from memvr_integrations.backend.structured.constraint import Grammars
from memvr_integrations.doctor.behaviour import schema_kept, triggers_act
from memvr_integrations.errors import ConfigError, UnsupportedModelError


def test_what_is_well(subject):
    assert triggers_act(subject).outcome == "ok"
    assert schema_kept(subject).outcome == "ok"


def test_a_threshold_that_is_never_passed(subject):
    subject.always = subject.never
    found = triggers_act(subject)
    assert found.outcome == "failed"
    assert "with a threshold of 0 it was {None}" in found.says
    assert "memvr=None" in found.advice


def test_triggers_that_change_nothing(subject):
    subject.always = subject.always.changed({"retracing_ratio": 0.0})
    found = triggers_act(subject)
    assert found.outcome == "failed"
    assert "changes no log-probability" in found.says


def test_a_window_beyond_the_model(subject):
    subject.settings = subject.settings.changed({"ending_layer": 99})
    with pytest.raises(ConfigError, match="beyond the model's 12 layers"):
        triggers_act(subject)


def test_a_request_without_pictures_that_triggers(subject, changed):
    def trigger(requests, answers):
        [one], [done] = requests, answers
        if one.images or one.memvr is None:
            return answers
        tokens = [dataclasses.replace(token, trigger_layer=3) for token in done.tokens]
        return [dataclasses.replace(done, tokens=tuple(tokens))]

    changed(answers=trigger)
    found = triggers_act(subject)
    assert found.outcome == "failed"
    assert "without pictures triggers" in found.says


def test_memvr_that_cannot_attach(subject, monkeypatch):
    monkeypatch.setattr(subject.host, "unsupported", "no decoder layers")
    assert triggers_act(subject).outcome == "not applicable"


@pytest.mark.parametrize("text", ['{"count": 11}', '{"count": 1', '{"other": 1}', "[1]", "1"])
def test_an_answer_that_does_not_fit(subject, changed, text):
    changed(answers=lambda asked, given: [dataclasses.replace(given[0], text=text)])
    found = schema_kept(subject)
    assert found.outcome == "failed"
    assert repr(text) in found.says
    assert found.advice


def test_a_tokenizer_that_no_grammar_holds(subject, monkeypatch):
    def refuse(*given):
        raise UnsupportedModelError("no grammar for this tokenizer")

    monkeypatch.setattr(Grammars, "check", refuse)
    assert schema_kept(subject).outcome == "not applicable"
