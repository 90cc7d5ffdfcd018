"""Instruction contrastive decoding against its formula."""

import math

import decoding_reference as reference
import pytest

from memvr_integrations.backend import Image, Message, Request
from memvr_integrations.backend.decoding.strategies.icd import disturbed
from memvr_integrations.types.decoding import ICDConfig


@pytest.mark.parametrize("numbers", [(3,), (1, 2), ()])
def test_it_is_its_formula(backend, loaded, ask, scenes, endless, numbers):
    config = ICDConfig(alpha=2.5, beta=0.01, disturbance="You see nothing but cows.")
    with endless(backend):
        [answer] = backend.generate(
            ask("Describe it.", *numbers, max_tokens=7, memvr=None, decoding=config)
        )
    calm = reference.read(loaded, scenes, "Describe it.", *numbers)
    confused = reference.read(loaded, scenes, "You see nothing but cows. Describe it.", *numbers)

    def step(ids):
        own = calm.logits(ids)
        mixed = (1 + 2.5) * own - 2.5 * confused.logits(ids)
        mixed[own.isneginf()] = -math.inf
        return reference.cut(mixed, own, 0.01)

    reference.same(answer, *reference.greedy(step, 7))


def test_the_newest_question_is_disturbed(scenes):
    picture = Image(scenes[0].pixels)
    request = Request(
        messages=(
            Message("system", "Be brief."),
            Message("user", [picture, "Who?"]),
            Message("assistant", "A cow."),
            Message("user", [picture, "Where?", "Say."]),
            Message("assistant", "Well:"),
        )
    )
    changed = disturbed(request, "Hm.")
    texts = ["".join(getattr(part, "text", "*") for part in m.content) for m in changed.messages]
    assert texts == ["Be brief.", "*Who?", "A cow.", "*Hm. Where?Say.", "Well:"]


def test_a_message_without_a_text_gets_one(scenes):
    request = Request(messages=Message("user", Image(scenes[0].pixels)))
    [message] = disturbed(request, "Hm.").messages
    assert message.content[1].text == "Hm."
