import random

import pytest
from bundled_model.conversations.interview import Interview

from memvr_integrations.bundled.world.scenes import Scene, Thing
from memvr_integrations.bundled.world.words import THEMES


def scene(*counts):
    things = tuple(
        Thing(name=name, color=None, centers=((0.5, 0.5),) * count)
        for name, count in zip(("cow", "pig", "sheep"), counts, strict=False)
    )
    return Scene(theme="farm", things=things, pixels=None, patches=None)


def turns(shown, kind):
    return {
        talk.turns[0].question.lower(): talk.turns[0].answer
        for seed in range(200)
        for talk in Interview(shown, random.Random(seed), tuple(THEMES)).only(kind)
    }


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("are there at least two cows?", {1: "No", 2: "Yes", 3: "Yes", 6: "Yes"}),
        ("are there more than two cows?", {1: "No", 2: "No", 3: "Yes", 6: "Yes"}),
        ("is there more than one cow?", {1: "No", 2: "Yes", 6: "Yes"}),
        ("is there only one cow?", {1: "Yes", 2: "No", 6: "No"}),
    ],
)
def test_counts_are_compared(question, answers):
    for count, yes in answers.items():
        said = turns(scene(count), "compare count")[question]
        amount = {
            1: "is one cow",
            2: "are two cows",
            3: "are three cows",
            6: "are more than four cows",
        }
        assert said == f"{yes}, there {amount[count]}."


def test_what_there_is_most_of_is_told_only_where_it_is_clear():
    assert set(turns(scene(1, 3, 2), "most").values()) == {"There are three pigs."}
    assert not turns(scene(1, 1), "most")
    assert not turns(scene(3, 3, 1), "most")
