import random
from dataclasses import replace

from bundled_model.conversations.corpus import undrawn
from bundled_model.conversations.pairs import compare, in_both

from memvr_integrations.bundled.world.words import THEMES, plural
from memvr_integrations.evaluate.benchmarks.scene_questions import mentioned


def test_answers_about_two_pictures_are_true():
    rng = random.Random(0)
    kinds = set()
    for _ in range(600):
        first, second = undrawn(rng), undrawn(rng)
        talk = compare(first, second, rng, tuple(THEMES))
        assert talk.pictures == 2
        answer = talk.turns[0].answer
        for start, scenes, other in (
            ("The first picture has a", first, second),
            ("The second picture has a", second, first),
        ):
            if answer.startswith(start) and "more" not in answer:
                [name] = mentioned(answer)
                assert name in scenes.names
                assert name not in other.names
                kinds.add(start)
            if answer.startswith(start.removesuffix(" a") + " more"):
                name = answer.removesuffix(".").split("more ")[1]
                counts = [
                    sum(t.count for t in scene.things if plural(t.name) == name)
                    for scene in (scenes, other)
                ]
                assert counts[0] > counts[1]
                kinds.add("more")
        if answer.startswith("Both pictures have a"):
            name = answer.removesuffix(".").split("have ")[1].split(" ", 1)[1]
            assert name in first.names & second.names
            kinds.add("both")
    assert len(kinds) == 4


def test_what_is_in_both_is_all_that_they_share():
    rng = random.Random(0)
    said = set()
    for _ in range(200):
        first, second = undrawn(rng, ("farm",)), undrawn(rng, ("farm",))
        answer = in_both(first, second, rng).turns[0].answer
        shared = first.names & second.names
        told, looked_for, found = answer.removesuffix(".").split(". ")
        assert mentioned(told) == mentioned(looked_for) == first.names
        assert {
            name for name in first.names if f" {name}: no" in looked_for
        } == first.names - shared
        assert mentioned(found) == shared
        assert (found == "They share nothing") == (not shared)
        said.add(answer)
    assert len(said) > 20


def test_two_pictures_of_one_theme_often_have_the_same():
    rng = random.Random(0)
    said = [
        compare(undrawn(rng, ("sea",)), undrawn(rng, ("sea",)), rng, ("sea",)).turns[0].answer
        for _ in range(800)
    ]
    for both, neither, least in (
        ("Both pictures have", "Neither picture has", 0.5),
        ("Yes, both pictures", "No, ", 0.2),
        ("Both have the same number", "has more", 0.2),
    ):
        agree = sum(answer.startswith(both) for answer in said)
        assert agree > least * sum(neither in answer for answer in said)


def test_what_a_cake_may_show_is_asked_of_no_picture_of_a_cake():
    rng = random.Random(1)
    scene = undrawn(rng, ("kitchen",))
    thing = replace(scene.things[0], color=None)
    cake = replace(scene, things=(replace(thing, name="cake"),))
    names = ("strawberry", "apple")
    fruit = replace(scene, things=tuple(replace(thing, name=name) for name in names))
    asked = " ".join(
        talk.turns[0].question
        for talk in (compare(cake, fruit, rng, ("kitchen", "fruit stand")) for _ in range(600))
        if "more" in talk.turns[0].question or "which" in talk.turns[0].question.lower()
    )
    assert "apple" in asked
    assert "strawberr" not in asked
