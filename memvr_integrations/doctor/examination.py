"""All checks of a model, in their order; the model stays as it was."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

from memvr_integrations.backend import Backend
from memvr_integrations.doctor.behaviour import schema_kept, triggers_act
from memvr_integrations.doctor.equalities import (
    batch_equals_alone,
    off_equals_plain,
    stream_equals_whole,
)
from memvr_integrations.doctor.finding import Finding, carried_out, ok
from memvr_integrations.doctor.measures import identity, memory, speed
from memvr_integrations.doctor.prompts import forged_marks_stay_text, template
from memvr_integrations.doctor.subject import Subject

Check: TypeAlias = Callable[[Subject], Finding]

CHECKS: tuple[Check, ...] = (
    identity,
    template,
    forged_marks_stay_text,
    off_equals_plain,
    triggers_act,
    batch_equals_alone,
    stream_equals_whole,
    schema_kept,
    speed,
    memory,
)


def examine(load: Callable[[], Backend]) -> Iterator[Finding]:
    """Load a model, check it and close it; each finding as it is known."""
    loaded: list[Backend] = []

    def model_loads() -> Finding:
        loaded.append(load())
        return ok(loaded[0].name)

    yield carried_out("model loads", model_loads)
    for backend in loaded:
        with backend:
            subject = Subject(backend)
            for check in CHECKS:
                yield carried_out(named(check), partial(check, subject))


def named(check: Check) -> str:
    """How a check is called in a finding."""
    return check.__name__.replace("_", " ")
