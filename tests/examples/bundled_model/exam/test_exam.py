"""The tables of the exam: what is counted in them, and that the controls are controls."""

import pickle
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from bundled_model.conversations.truths import caption
from bundled_model.exam import abilities, trials
from bundled_model.exam.abilities import GOALS, ability
from bundled_model.exam.exam_questions import exercises
from bundled_model.exam.examinee import Examinee, Prompt, about
from bundled_model.exam.half_precision import answers, times
from bundled_model.exam.judging import is_true
from bundled_model.exam.processes import Processes
from bundled_model.exam.retracing_controls import controls_table
from bundled_model.exam.scene_marks import attributes
from bundled_model.exam.trials import CONTROLS, Evidence, Sweep, comparison
from bundled_model.exam.typed_exam import SETS, marked, typed_questions, typed_table
from bundled_model.exam.withholding import Answers, best_threshold, withheld
from bundled_settings import FIRST_THEMES

from memvr_integrations.backend import Completion, Usage
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world import SPRITES, THEMES
from memvr_integrations.errors import RequestError
from memvr_integrations.evaluate.benchmarks.scene_questions import CAPTION, SHORT, held_out_scenes
from memvr_integrations.memvr import MemVRConfig

ALL = tuple(THEMES)
ALWAYS = MemVRConfig(starting_layer=1, ending_layer=8, entropy_threshold=0, retracing_ratio=0.9)
NEVER = replace(ALWAYS, entropy_threshold=5)


def said(text):
    usage = Usage(prompt_tokens=1, image_tokens=0, completion_tokens=1)
    return Completion(
        text=text, finish_reason="stop", usage=usage, tokens=(), model="known", memvr=None
    )


class Knowing:
    """Stands for an examinee: knows every true answer, or always says one thing."""

    blindfolded = Examinee.blindfolded

    def __init__(self, scenes, always=None):
        self.always, self.asked, self.known = always, [], {}
        for index, scene in enumerate(scenes):
            self.known[(index,), CAPTION] = caption(scene)
        for one in attributes(scenes):
            self.known[(one.scene,), one.question] = f"It is {one.right}."
        for exercise in exercises(scenes, ALL):
            for talk, pictures in zip(exercise.talks, exercise.pictures, strict=True):
                for turn in talk.turns:
                    self.known[pictures, turn.question] = turn.answer
        evidence = Evidence(self, ALL).condition("any", scenes)
        for question, prompt in zip(evidence.questions, evidence.prompts, strict=True):
            self.known[prompt.pictures, prompt.question] = "Yes" if question.truth else "No"

    def ask(self, pictures, prompts, *, config=None, instead=None, tokens=60):
        self.asked += prompts
        return [
            said(self.always or self.known.get((one.pictures, one.question), "Yes"))
            for one in prompts
        ]


@pytest.fixture(scope="module")
def scenes():
    return held_out_scenes(10, themes=ALL, seed=6, files=[SPRITES])


def table(examinee, scenes):
    evidence = Evidence(examinee, ALL)
    lines = list(ability(Processes(), evidence, [evidence.condition("clean", scenes)]))
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
    examinee = Knowing(scenes, always="I cannot tell from the image.")
    rows = table(examinee, scenes)
    right = {name for name, (value, _) in rows.items() if value == 100}
    assert {"what no picture tells: refused", "refused though the picture tells"} <= right
    assert rows["colour"][0] == rows["two pictures"][0] == rows["follow-up turns"][0] == 0
    later = [prompt for prompt in examinee.asked if prompt.before]
    assert {answer for prompt in later for _, answer in prompt.before} == {examinee.always}


def test_agreement_asks_five_ways_and_leaves_out_negations(scenes):
    examinee = Knowing(scenes, always="Yes")
    evidence = Evidence(examinee, ALL)
    rows = abilities._agreement_rows(evidence, evidence.condition("clean", scenes))
    shares = {row.name: row.share.value for row in rows}
    assert shares["the same answer, asked five ways"] == 100
    assert len(examinee.asked) == 5 * len(scenes)
    for start in range(0, len(examinee.asked), 5):
        ways = [prompt.question for prompt in examinee.asked[start : start + 5]]
        assert len(set(ways)) == 5
        assert ways[1] == ways[0] + SHORT
        assert not any("no " in way.lower() for way in ways)


def test_typed_answers_are_judged_by_what_they_say():
    class Clerk:
        """Says the first truth to the first half of the questions, nonsense to the rest."""

        def ask(self, pictures, prompts, **options):
            name = next(n for n in SETS if typed_questions(n)[0].question == prompts[0].question)
            truths = [one.truths[0] for one in typed_questions(name)]
            return [said(text) for text in (*truths[:150], *["Hm."] * 150)]

    hits = [hit for _, _, hit in marked(Clerk(), "test")]
    assert all(hits[:150])
    assert not any(hits[150:])
    assert list(typed_table(Clerk()))[2].startswith("| all | 50.0 [")
    assert not is_true("Hm.", "Yes.")


class Made(Answers):
    def __init__(self, unsureness, right):
        self.name, self.unsureness = "made", torch.tensor(unsureness)
        self.right = torch.tensor(right)
        self.owners, self.images = list(range(len(right))), len(right)


def test_a_threshold_parts_wrong_from_right_and_its_table_counts():
    made = Made([0.05, 0.1, 0.15, 0.4, 0.6, 0.7], [True, True, True, False, True, False])
    assert 0.15 <= best_threshold([made]) < 0.4
    *_, row = withheld([made], 0.2)
    cells = [cell.strip().split(" ")[0] for cell in row.strip("|").split("|")]
    assert cells == ["made", "66.7", "50.0", "100.0", "100.0", "25.0", "87.5"]


@pytest.fixture(scope="module")
def evidence():
    return Evidence(Examinee(WEIGHTS), FIRST_THEMES)


@pytest.fixture(scope="module")
def condition(evidence):
    few = held_out_scenes(3, themes=FIRST_THEMES, seed=4, files=[SPRITES])
    return evidence.condition("clean", few)


def test_the_messages_of_a_conversation(condition):
    prompt = Prompt(question="And how many?", pictures=(2, 0), before=(("Cups?", "Yes."),))
    first, second, third = prompt.messages(condition.pictures)
    shown = [part.source for part in first.content[:2]]
    assert all(one is condition.pictures[at] for one, at in zip(shown, (2, 0), strict=True))
    assert [first.role, second.role, third.role] == ["user", "assistant", "user"]
    said = [message.content[-1].text for message in (first, second, third)]
    assert said == ["Cups?", "Yes.", "And how many?"]


def test_answers_come_back_in_the_order_of_the_questions(evidence, condition):
    asked = [about(0, "Describe the image." * 3), about(1, "Hm?"), about(2, "Is there a dog?")]
    together = [one.text for one in evidence.examinee.ask(condition.pictures, asked, tokens=3)]
    for prompt, text in zip(asked, together, strict=True):
        [alone] = evidence.examinee.ask(condition.pictures, [prompt], tokens=3)
        assert alone.text == text


def test_the_controls_do_different_things_and_the_own_picture_is_no_other(evidence, condition):
    ask, pictures = evidence.examinee.leanings, condition.pictures
    asked = condition.prompts[:2]
    own = ask(pictures, asked, config=ALWAYS)
    same = ask(pictures, asked, config=ALWAYS, instead=pictures)
    other = ask(pictures, asked, config=ALWAYS, instead=condition.other_image())
    damped = ask(pictures, asked, config=ALWAYS.changed({"control": "damping"}))
    assert torch.allclose(own, same, atol=1e-4)
    assert len({tuple(one.tolist()) for one in (own, other, damped)}) == 3
    with evidence.examinee.blindfolded(0):
        hidden = ask(pictures, asked)
        with pytest.raises(ValueError, match="blindfolded"):
            pickle.dumps(evidence.examinee)
    assert not torch.allclose(ask(pictures, asked), hidden, atol=1e-2)


def test_the_controls_show_other_scenes(condition):
    few = [*condition.scenes, *condition.scenes]
    shown = replace(condition, scenes=few, pictures=list(range(6)))
    themes = [scene.theme for scene in few]
    for index, source in enumerate(shown.same_theme()):
        assert source != index
        assert themes[source] == themes[index]
    lone = [replace(scene, theme=f"theme {at}") for at, scene in enumerate(few)]
    assert all(a != b for a, b in enumerate(replace(shown, scenes=lone).same_theme()))
    assert all(a != b for a, b in enumerate(shown.other_image()))
    with pytest.raises(RequestError, match="take two"):
        replace(shown, scenes=few[:1]).other_image()


def test_a_setting_that_never_triggers_changes_nothing(evidence, condition):
    asked = condition.questions
    two = [next(one for one in asked if one.truth is truth) for truth in (True, False)]
    few = replace(condition, questions=two)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in comparison(Processes(), evidence, [few], NEVER)
    ][2:]
    assert [row[1] for row in rows] == ["off", "MemVR", *CONTROLS]
    assert len({tuple(row[2:4] + row[6:]) for row in rows}) == 1
    assert all(row[5] == "0 / 0" for row in rows[1:])


def test_the_controls_table_chooses_on_dev_and_has_a_line_for_every_way(monkeypatch, scenes):
    def ask(condition, config, control=None):
        best = condition is dev and config is NEVER
        yes = condition.truth if best or control else ~condition.truth
        return trials.Outcome(yes=yes, triggered=yes)

    evidence = Evidence(Knowing(scenes), ALL)
    monkeypatch.setattr(evidence, "ask", ask)
    monkeypatch.setattr(evidence, "auc", lambda *way: 50.0)
    dev, test = (evidence.condition(name, scenes) for name in ("dev", "test"))
    lines = list(controls_table(evidence, dev, test, (None,), [ALWAYS, NEVER]))[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[1] for row in rows] == ["off", "MemVR", *CONTROLS]
    assert rows[1][7] == "1-8, 0.9"
    assert rows[1][2].startswith("0.0")
    assert rows[2][2:4] == ["100.0 [100.0, 100.0]", "-100.00 [-100.00, -100.00]"]


def test_two_views_of_one_scene_are_one_draw(monkeypatch, scenes):
    sums = []
    share = trials.share
    monkeypatch.setattr(trials, "share", lambda *parts: sums.append(parts) or share(*parts))
    for name, values in (("_WINDOWS", ((1, 6),)), ("_THRESHOLDS", (0.3,)), ("_RATIOS", (0.6,))):
        monkeypatch.setattr(trials, name, values)
    evidence = Evidence(Knowing(scenes), ALL)
    condition = evidence.condition("clean", scenes)
    trials.sweep(Processes(), evidence, [condition, condition])
    asked = trials.by_image(torch.ones(len(condition.questions)), condition.owners, len(scenes))
    assert torch.equal(sums[-1][1], 2 * asked)


def test_the_verdict_is_about_every_setting():
    verdicts = [
        Sweep(lines=[], strongest=ALWAYS, beyond_chance=beyond).verdict
        for beyond in ([ALWAYS, NEVER], [NEVER], [])
    ]
    assert verdicts[0].startswith("The strongest setting's joint gain is beyond chance")
    assert verdicts[1].endswith("not beyond chance, but others' are: 1 of them.")
    assert verdicts[2].startswith("No setting")


def test_processes_find_what_one_finds(monkeypatch):
    # A process that imports torch takes seconds, and what is done here does not need it.
    monkeypatch.setattr(torch, "set_num_threads", abs)
    with Processes(2) as processes:
        assert processes.map(len, ["a", "bc", "def"]) == Processes().map(len, ["a", "bc", "def"])


def test_half_precision_is_compared_answer_by_answer():
    scenes = held_out_scenes(3, themes=ALL, seed=5, files=[SPRITES])
    condition = Evidence(Knowing(scenes), ALL).condition("any", scenes)
    alike = list(answers(condition, [Knowing(scenes), Knowing(scenes)]))
    assert len(alike) == 2 + 2 * 3
    for line in alike[2:]:
        _, _, full, half, differ, _ = line.split("|")
        assert full == half
        assert full.startswith(" 100.0 ")
        assert differ.startswith(" 0 of ")
    other = list(answers(condition, [Knowing(scenes), Knowing(scenes, always="Yes")]))
    yes_no, _, captions = other[2:5]
    assert yes_no.split("|")[3] != yes_no.split("|")[2]
    assert captions.endswith("| 3 of 3 |")


def test_tokens_are_timed_in_turn(whole):
    scenes = held_out_scenes(1, themes=FIRST_THEMES, seed=5, files=[SPRITES])
    condition = Evidence(Knowing(scenes), ALL).condition("any", scenes)
    examinee = SimpleNamespace(backend=whole)
    lines = list(times(condition, [examinee, examinee], rounds=1))
    assert len(lines) == 2 + 2
    for line in lines[2:]:
        full, half, ratio = (float(cell.split()[0]) for cell in line.split("|")[2:5])
        assert ratio == pytest.approx(half / full, abs=0.02)
