"""The bundled model as the doctor's subject, and ways to break what a check relies on."""

import pytest

from memvr_integrations.doctor.subject import Subject


@pytest.fixture
def subject(whole):
    made = Subject(whole, tokens=3, rounds=2)
    made.kinds = [(made.wide,), ()]  # quicker than all
    return made


@pytest.fixture
def changed(subject, monkeypatch):
    """Let the backend answer requests, or what it gives for them, otherwise."""
    generate = subject.backend.generate

    def change(*, request=lambda one: one, answers=lambda requests, done: done):
        def give(requests):
            listed = requests if isinstance(requests, list) else [requests]
            return answers(listed, generate([request(one) for one in listed]))

        monkeypatch.setattr(subject.backend, "generate", give)

    return change
