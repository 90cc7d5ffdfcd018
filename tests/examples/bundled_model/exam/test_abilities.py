import pytest
import torch
from bundled_model.conversations.truths import caption
from bundled_model.exam import abilities
from bundled_model.exam.abilities import GOALS, ability
from bundled_model.exam.exam_questions import papers
from bundled_model.exam.processes import Crew
from bundled_model.exam.trials import Evidence

from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.bundled.world.words import THEMES
from memvr_integrations.evaluate.benchmarks.scene_questions import (
    CAPTION,
    attributes,
    held_out_scenes,
)

ALL = tuple(THEMES)


class Knowing:
    """Stands for an examinee: knows every true answer, or always says one thing."""

    def __init__(self, scenes, always=None):
        self.always = always
        self.known = {}
        for index, scene in enumerate(scenes):
            self.known[(index,), CAPTION] = caption(scene)
        for one in attributes(scenes):
            self.known[(one.scene,), one.question] = f"It is {one.right}."
        for paper in papers(scenes, ALL):
            for talk, pictures in zip(paper.talks, paper.pictures, strict=True):
                for turn in talk.turns:
                    self.known[pictures, turn.question] = turn.answer
        self.scenes, self.asked = scenes, []

    def see(self, pictures):
        return torch.zeros(len(pictures), 1, 1)

    def say(self, features, prompts, *, config=None, instead=None, tokens=60):
        self.asked += prompts
        if self.always is not None:
            return [self.always] * len(prompts)
        return [self.known[prompt.pictures, prompt.question] for prompt in prompts]

    def margins(self, features, questions, *, config=None, instead=None):
        return torch.tensor([1.0 if q.truth else -1.0 for q in questions]), []

    def leanings(self, features, prompts, *, config=None, instead=None):
        return torch.tensor([float(len(prompt.question) % 2) - 0.5 for prompt in prompts]), []


@pytest.fixture(scope="module")
def scenes():
    return held_out_scenes(10, themes=ALL, seed=6, files=[SPRITES])


def table(examinee, scenes):
    evidence = Evidence(examinee, ALL)
    lines = list(ability(Crew(), evidence, [evidence.condition("clean", scenes)]))
    assert lines[0] == "| | clean | goal |"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {name: (float(text.split(" ")[0]), goal) for name, text, goal in cells}


def test_one_who_knows_everything_is_right_everywhere(scenes):
    rows = table(Knowing(scenes), scenes)
    for name, (value, _) in rows.items():
        if name.startswith(("false yes", "captions: CHAIR", "refused though")):
            assert value == 0, name
        elif "same answer" not in name:
            assert value == 100, name
    assert {name for name, (_, goal) in rows.items() if goal} == set(GOALS)


def test_one_who_always_refuses_is_right_only_there(scenes):
    rows = table(Knowing(scenes, always="I cannot tell from the image."), scenes)
    right = {name for name, (value, _) in rows.items() if value == 100}
    assert "what no picture tells: refused" in right
    assert "refused though the picture tells" in right
    assert rows["colour"][0] == rows["two pictures"][0] == rows["follow-up turns"][0] == 0


def test_follow_ups_stand_behind_the_models_own_answers(scenes):
    examinee = Knowing(scenes, always="So it is.")
    table(examinee, scenes)
    behind = [prompt for prompt in examinee.asked if prompt.before]
    assert behind
    assert {answer for prompt in behind for _, answer in prompt.before} == {"So it is."}


def test_agreement_asks_five_ways_and_leaves_out_negations(scenes):
    asked = []

    class Listening(Knowing):
        def leanings(self, features, prompts, *, config=None, instead=None):
            asked.extend(prompts)
            return torch.ones(len(prompts)), []

    rows = table(Listening(scenes), scenes)
    assert rows["long and short question: the same answer"][0] == 100
    assert rows["the same answer, asked five ways"][0] == 100
    assert len(asked) == 5 * len(scenes)
    for start in range(0, len(asked), 5):
        ways = [prompt.question for prompt in asked[start : start + 5]]
        assert len(set(ways)) == 5
        assert ways[1] == ways[0] + abilities.SHORT
        assert not any("no " in way.lower() for way in ways)
        assert len({prompt.pictures for prompt in asked[start : start + 5]}) == 1


def test_rows_without_a_goal_ask_less(scenes, monkeypatch):
    asked = {}

    def note(evidence, condition, paper):
        asked[paper.name] = len(paper.talks), len(paper.scenes), len(paper.pictures)
        return [talk.turns[-1].answer for talk in paper.talks]

    monkeypatch.setattr(abilities, "ENOUGH", 2)
    monkeypatch.setattr(abilities, "answers", note)
    table(Knowing(scenes), scenes)
    for paper in papers(scenes, ALL):
        size = len(paper.talks) if paper.name in GOALS else min(2, len(paper.talks))
        assert asked[paper.name] == (size,) * 3
    assert max(asked.values()) > (2,) * 3
