"""Finding settings: where they help, where they hurt, where it may be chance."""

import json
import random
from collections import Counter

import pytest
from PIL import Image as Pillow
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.errors import BenchmarkError, ConfigError
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.running import calibration
from memvr_integrations.evaluate.running.calibration import Calibrating, broken, candidates, goal
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.wire.presets import read_preset

PICTURE = Pillow.new("RGB", (8, 8))
SETTINGS = list(candidates(12, MemVRConfig(starting_layer=1, ending_layer=6)))
BEST = MemVRConfig(starting_layer=1, ending_layer=6, entropy_threshold=0.75, retracing_ratio=0.2)


class Numbers:
    """Is it even? Sixty questions, each a group."""

    name = "numbers"
    questions = tuple(
        Question(id=str(n), text=f"Is {n} even?", images=(PICTURE,), group=str(n))
        for n in range(60)
    )

    def marks(self, answers):
        right = self.right(answers)
        return {one: Counter({"asked": 1, "right": right[one]}) for one in answers}

    def figures(self, counts):
        return {"official/accuracy": 100 * counts["right"] / counts["asked"]} if counts else {}

    def right(self, answers):
        return {one: (text == "yes") == (int(one) % 2 == 0) for one, text in answers.items()}


def model(errors):
    """A model that is wrong with the chance that `errors` gives for a request's settings."""

    def speak(request):
        number = int(text_of(request.messages[0]).split()[1])
        chance = random.Random(f"{number} {request.memvr is None or request.memvr == BEST}")
        right = "yes" if number % 2 == 0 else "no"
        wrong = "no" if right == "yes" else "yes"
        return wrong if chance.random() < errors(request.memvr) else right

    return ScriptedEngine(speak)


def calibrated(engine, folder, **options):
    options = {"limit": None, "progress": False} | options
    return Calibrating(engine, Numbers(), SETTINGS, folder, **options).find()


def test_settings_cover_windows_thresholds_and_ratios():
    assert BEST in SETTINGS
    assert len(SETTINGS) == len(set(SETTINGS)) == 36
    for layers in (4, 12, 32, 40):
        for one in candidates(layers, MemVRConfig.preset("llava").for_depth(layers)):
            assert one.ending_layer <= layers


def test_what_helps_is_found_and_confirmed(tmp_path):
    engine = model(lambda memvr: 0.0 if memvr == BEST else 0.4)
    found = calibrated(engine, tmp_path / "run")
    assert found.config == BEST
    assert found.held_out["official/accuracy"].low > 0
    found.save(tmp_path / "preset.json", model="scripted", benchmark="numbers")
    assert read_preset(tmp_path / "preset.json") == BEST
    asked = len(engine.requests)
    assert calibrated(engine, tmp_path / "run").config == BEST
    assert len(engine.requests) == asked  # all of it was kept


def test_controls_stand_beside_what_helps(tmp_path):
    """One model sees; the other is as well off when it retraces something else."""
    seeing = model(lambda memvr: 0.0 if memvr == BEST else 0.4)
    found = calibrated(seeing, tmp_path / "seeing")
    assert set(found.controls) == {"shuffled", "damping"}
    assert all(change.high <= 0 or change.low < 0 for change in found.controls.values())
    assert "the controls: shuffled" in found.reason

    def settings(memvr):
        return memvr is not None and memvr.changed({"control": None}) == BEST

    blind = model(lambda memvr: 0.0 if settings(memvr) else 0.4)
    found = calibrated(blind, tmp_path / "blind")
    assert found.config == BEST
    assert "a control gains as much" in found.reason
    found.save(tmp_path / "preset.json", model="scripted", benchmark="numbers")
    assert set(json.loads((tmp_path / "preset.json").read_text())["controls"]) == {
        "shuffled",
        "damping",
    }


def test_where_it_hurts_off_is_chosen(tmp_path):
    found = calibrated(model(lambda memvr: 0.1 if memvr is None else 0.5), tmp_path / "run")
    assert found.config is None
    assert found.reason == "no settings gained without a loss of recall, length or accuracy"
    found.save(tmp_path / "preset.json", model="scripted", benchmark="numbers")
    assert json.loads((tmp_path / "preset.json").read_text())["memvr"] is None
    assert read_preset(tmp_path / "preset.json") is None


def test_where_it_changes_nothing_off_is_chosen(tmp_path):
    def same(request):
        return "yes" if int(text_of(request.messages[0]).split()[1]) % 3 else "no"

    assert calibrated(ScriptedEngine(same), tmp_path).config is None


def test_another_versions_answers_are_not_gone_on_with(tmp_path, monkeypatch):
    calibrated(ScriptedEngine(lambda request: "no"), tmp_path)
    monkeypatch.setattr(calibration, "__version__", "9.9")
    with pytest.raises(ConfigError, match=r"holds another evaluation \(version"):
        calibrated(ScriptedEngine(lambda request: "no"), tmp_path)


def test_a_gain_by_chance_is_not_confirmed(tmp_path):
    """Settings that are as often wrong, on other questions, win among many and lose alone."""

    def speak(request):
        number = int(text_of(request.messages[0]).split()[1])
        right = random.Random(f"{number} {request.memvr}").random() < 0.6
        return "yes" if (number % 2 == 0) == right else "no"

    found = calibrated(ScriptedEngine(speak), tmp_path)
    assert found.config is None
    assert found.held_out is None or "chance" in found.reason or "fell" in found.reason


def test_time_is_bounded(tmp_path):
    engine = model(lambda memvr: 0.0 if memvr == SETTINGS[0] else 0.4)
    calibrated(engine, tmp_path, minutes=0.0)
    tried = {request.memvr for request in engine.requests}
    assert len(tried) < len(SETTINGS) / 2


def test_time_is_bounded_where_nothing_helps_too(tmp_path):
    engine = model(lambda memvr: 0.1 if memvr is None else 0.5)
    calibrated(engine, tmp_path, minutes=0.0)
    assert len({request.memvr for request in engine.requests}) <= 2


def test_a_figure_that_settings_lose_breaks_nothing(tmp_path):
    assert broken({"a/official/precision": 50.0, "words": 2.0}, {"words": 2.0}) is None


class Named(Numbers):
    """A figure that is undefined where nothing is named."""

    def marks(self, answers):
        right = self.right(answers)
        named = {one: text for one, text in answers.items() if text}
        return {one: Counter({"asked": one in named, "right": right[one]}) for one in answers}

    def figures(self, counts):
        asked = counts.get("asked", 0)
        return {"accuracy": 100 * counts["right"] / asked} if asked else {"words": 0.0}


@pytest.mark.parametrize("silent", ["confirming", "controls"])
def test_who_names_nothing_gains_nothing(tmp_path, silent):
    plain = model(lambda memvr: 0.0 if memvr is not None else 0.4)
    calibrating = Calibrating(plain, Named(), SETTINGS, tmp_path, limit=None, progress=False)
    confirming = {question.text for question in calibrating._confirming}
    before = plain._script

    def speak(request):
        control = request.memvr is not None and request.memvr.control is not None
        last = request.memvr is not None and text_of(request.messages[0]) in confirming
        return "" if (control if silent == "controls" else last) else before(request)

    plain._script = speak
    found = calibrating.find()
    if silent == "controls":
        assert found.config is not None
        assert "the controls name nothing" in found.reason
    else:
        assert found.config is None
        assert "undefined" in found.reason


def test_where_every_question_fails_that_is_said(tmp_path):
    def speak(request):
        if request.memvr is not None:
            raise ConfigError("no")
        return "yes"

    with pytest.raises(BenchmarkError, match="No question was answered both plainly"):
        calibrated(ScriptedEngine(speak), tmp_path)


def test_too_few_groups_are_reported(tmp_path):
    with pytest.raises(BenchmarkError, match="too few groups"):
        Calibrating(ScriptedEngine(), Numbers(), SETTINGS, tmp_path, limit=1)


def figures(**values):
    return {name.replace("__", "/"): value for name, value in values.items()}


def test_constraints():
    plain = figures(captions__recall=80.0, captions__CHAIR_I=10.0, random__official__recall=90.0)
    plain["captions/length, words"] = 20.0
    assert goal(plain) == ("captions/CHAIR_I", -1)
    assert broken(plain, plain) is None
    low = plain | figures(captions__recall=79.0)
    assert "captions/recall fell from 80.0 to 79.0" in broken(plain, low)
    short = plain | {"captions/length, words": 18.0}
    assert "below 95%" in broken(plain, short)
    # Of yes/no questions the accuracy counts, not how often yes is said.
    assert broken(plain, plain | figures(random__official__recall=10.0)) is None
    amber = figures(generative__CHAIR=10.0, existence__recall=90.0)
    assert broken(amber, amber | figures(existence__recall=80.0)) is None
    worse = figures(random__official__accuracy=90.0), figures(random__official__accuracy=89.0)
    assert "random/official/accuracy fell" in broken(*worse)
    with pytest.raises(BenchmarkError, match="says what is better"):
        goal(figures(words=3.0))
