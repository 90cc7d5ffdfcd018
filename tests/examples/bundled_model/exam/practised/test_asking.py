"""What is practised is asked, token by token, as it was trained."""

import random

import PIL.Image
import pytest
from bundled_model.conversations.pairs import differs
from bundled_model.conversations.practised.records import record
from bundled_model.conversations.practised.references import reference
from bundled_model.conversations.tools import talks as tools
from bundled_model.exam.practised.asking import as_request, calls_of, tools_of
from bundled_model.training.packing import Packer
from bundled_settings import FIRST_THEMES

from memvr_integrations.backend import Message
from memvr_integrations.backend.hosting.prompts.writer import Picture

MAKERS = {
    "record": lambda scenes, rng: record(scenes[0], rng, FIRST_THEMES),
    "reference": lambda scenes, rng: reference(scenes[0], rng, FIRST_THEMES),
    "pair": lambda scenes, rng: differs(scenes[0], scenes[1], rng),
} | {
    kind: lambda scenes, rng, kind=kind: tools.only(kind, scenes[0], rng, FIRST_THEMES)
    for kind in tools.KINDS
}


@pytest.fixture(scope="module")
def packer():
    return Packer()


def asked(backend, request):
    """The ids of a request's prompt."""
    pictures = [
        Picture(image=PIL.Image.fromarray(part.source), hash=str(at))
        for at, part in enumerate(request.images)
    ]
    return backend._host.prompts.write(request, pictures).inputs["input_ids"][0].tolist()


def trained(packer, talk):
    """The ids of a talk up to its last answer, the picture that a row of talks shares included."""
    ids = packer.row_of([talk]).ids
    if not talk.apart:
        shown = [packer.image] * (packer.prefix - len(packer.before_image))
        ids = [*packer.before_image, *shown, *ids]
    answer = [*packer.encode(" " + talk.turns[-1].answer), 2]
    assert ids[-len(answer) :] == answer
    return ids[: -len(answer)]


@pytest.mark.parametrize("kind", MAKERS)
def test_it_is_asked_as_it_was_trained(backend, packer, scenes, kind):
    pictures = [scene.pixels for scene in scenes[:2]]
    for seed in range(12):
        talk = MAKERS[kind](scenes, random.Random(seed))
        request = as_request(talk, pictures)
        assert asked(backend, request) == trained(packer, talk)
        assert len(request.images) == talk.pictures


def test_an_earlier_turn_and_answers_of_its_own(scenes):
    talk = reference(scenes[0], random.Random(3), FIRST_THEMES)
    first = as_request(talk, [scenes[0].pixels], turn=0)
    assert len(first.messages) == 1
    second = as_request(talk, [scenes[0].pixels], turn=1, said=["Something else."])
    assert [one.role for one in second.messages] == ["user", "assistant", "user"]
    assert second.messages[1] == Message("assistant", "Something else.")


def test_tools_and_calls_are_those_of_the_talk(scenes):
    for seed in range(20):
        talk = tools.only("twice", scenes[0], random.Random(seed), FIRST_THEMES)
        names = {tool.name for tool in tools_of(talk)}
        called = calls_of(talk.turns[0].answer)
        assert len(called) == 2
        assert {name for name, _ in called} <= names
