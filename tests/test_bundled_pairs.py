import random

from memvr_integrations.bundled.corpus import undrawn
from memvr_integrations.bundled.pairs import compare
from memvr_integrations.bundled.words import THEMES, plural


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
                name = answer.removesuffix(".").split("has ")[1].split(" ", 1)[1]
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
