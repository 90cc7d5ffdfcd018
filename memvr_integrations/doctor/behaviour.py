"""What MemVR does to an answer, and what a schema does."""

import json

from memvr_integrations.doctor.equalities import ROUNDING
from memvr_integrations.doctor.finding import REPORT, Finding, failed, not_applicable, ok
from memvr_integrations.doctor.subject import QUESTION, Subject
from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr.plan import window
from memvr_integrations.types import Image, Message, Request

_SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["count"],
    "additionalProperties": False,
}


def triggers_act(subject: Subject) -> Finding:
    """Layers of the window trigger where they must, that changes the answer, and nothing else."""
    if not subject.attached:
        return not_applicable("MemVR can't attach to this model, so it decodes plainly")
    layers = window(subject.settings, subject.backend.layers)
    settings = f"layers {min(layers)} to {max(layers)} of {subject.backend.layers} can trigger"
    advice = f"decode with memvr=None until it is mended, and {REPORT}"
    [usual] = subject.answers(subject.ask(subject.square, memvr=subject.settings))
    with subject.logprobs() as steps:
        [forced] = subject.answers(subject.ask(subject.square, memvr=subject.always))
    with subject.logprobs() as plain_steps:
        subject.answers(subject.ask(subject.square))
    found = {token.trigger_layer for token in forced.tokens}
    if not found <= layers:
        return failed(f"{settings}, but with a threshold of 0 it was {found}", advice)
    changed = float((steps[0] - plain_steps[0]).abs().max())
    if changed <= ROUNDING:
        return failed(f"{settings}, and retracing changes no log-probability", advice)
    if () in subject.kinds:
        blank, plain = (
            subject.answers(subject.ask(memvr=memvr))[0].tokens for memvr in (subject.always, None)
        )
        if any(token.trigger_layer is not None for token in blank) or blank != plain:
            return failed("a request without pictures triggers, or differs from MemVR off", advice)
    return ok(
        f"{settings}; above {subject.settings.entropy_threshold:g} "
        f"{usual.retraced} of {len(usual.tokens)} tokens trigger, above 0 all {forced.retraced}, "
        f"which changes first log-probabilities by up to {changed:.2g}; without a picture none"
    )


def schema_kept(subject: Subject) -> Finding:
    """An answer in JSON fits its schema, whatever the model would say."""
    message = Message("user", [Image(subject.square), QUESTION])
    request = Request(messages=(message,), response_format=_SCHEMA, memvr=subject.attached)
    try:
        [done] = subject.answers(request)
    except UnsupportedModelError as error:
        return not_applicable(str(error))
    try:
        answer = json.loads(done.text)
        fits = set(answer) == {"count"} and answer["count"] in range(10)
    except (ValueError, TypeError):
        fits = False
    if not fits:
        return failed(f"{done.text!r} does not fit its schema", f"check answers, and {REPORT}")
    return ok(f"{done.text} fits its schema ({len(done.tokens)} tokens)")
