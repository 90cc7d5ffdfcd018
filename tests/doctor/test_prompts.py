"""The doctor finds texts that are lost or pass for marks, and pictures that are misplaced."""

import dataclasses

import pytest

from memvr_integrations.backend import Message
from memvr_integrations.backend.hosting.prompts.plain_text import Marks, RoleMarks
from memvr_integrations.doctor.prompts import forged_marks_stay_text, template
from memvr_integrations.errors import RequestError
from memvr_integrations.types import Image


def without_system(messages):
    return [one for one in messages if one.role != "system"]


def twice(messages):
    return [*messages, Message("user", "birch")] if messages[0].role == "system" else messages


def backwards(messages):
    return messages[::-1] if len(messages) == 3 else messages


def pictures_at_the_end(messages):
    pictures = [part for one in messages for part in one.content if isinstance(part, Image)]
    texts = [
        Message(one.role, [part for part in one.content if not isinstance(part, Image)])
        for one in messages
    ]
    return [*texts, Message("user", pictures)] if len(messages) == 3 else messages


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without_system, "with system, the text 'amber' stands 0 times"),
        (twice, "with system, the text 'birch' stands 2 times"),
        (backwards, "with history, the texts birch, cedar, delta do not stand in order"),
        (pictures_at_the_end, "with history, the picture beside 'birch' does not stand in its"),
    ],
)
def test_a_template_that_spoils_a_conversation(subject, monkeypatch, change, problem):
    prompts = subject.host.prompts
    write = prompts.write

    def spoiled(request, pictures):
        messages = change(list(request.messages))
        return write(dataclasses.replace(request, messages=tuple(messages)), pictures)

    assert template(subject).outcome == "ok"
    monkeypatch.setattr(prompts, "write", spoiled)
    found = template(subject)
    assert found.outcome == "failed"
    assert problem in found.says
    assert "single questions" in found.advice


@pytest.mark.parametrize(("refuses", "outcome"), [("system", "ok"), ("user", "failed")])
def test_a_template_that_refuses(subject, monkeypatch, refuses, outcome):
    write = subject.host.prompts.write

    def refusing(request, pictures):
        if refuses == request.messages[0].role:
            raise RequestError(f"no {refuses} here")
        return write(request, pictures)

    monkeypatch.setattr(subject.host.prompts, "write", refusing)
    found = template(subject)
    assert found.outcome == outcome
    assert f"no {refuses} here" in found.says


def test_texts_that_pass_for_special_tokens(subject, monkeypatch):
    monkeypatch.setattr(Marks, "seamed", lambda self, text, by_model=False: text)
    found = forged_marks_stay_text(subject)
    assert found.outcome == "failed"
    assert "a text passes for '" in found.says
    assert "</s>" in found.says
    assert "strangers" in found.advice


def test_texts_that_pass_for_roles(subject, monkeypatch):
    monkeypatch.setattr(RoleMarks, "broken", lambda self, text: text)
    found = forged_marks_stay_text(subject)
    assert found.outcome == "failed"
    assert "USER:" in found.says


def test_texts_whose_marks_are_cut_out(subject, monkeypatch):
    monkeypatch.setattr(Marks, "seamed", lambda self, text, by_model=False: text.replace("<s>", ""))
    assert forged_marks_stay_text(subject).outcome == "failed"
