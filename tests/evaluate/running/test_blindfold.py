"""The blindfold as a measurement, on a scripted model and on the bundled one."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
from blindfoldable import BlindfoldableModel
from memvr_models import tiny_llava

from memvr_integrations.backend import Backend
from memvr_integrations.errors import BenchmarkError, ConfigError
from memvr_integrations.evaluate.benchmarks.bundled_scenes import load_scenes
from memvr_integrations.evaluate.running import blindfold
from memvr_integrations.evaluate.running.blindfold import FIGURES, TABLE, Blindfold, default_layers
from memvr_integrations.evaluate.running.restoration import ALIKE, BLIND, DAMPING, OTHER, RIGHT
from memvr_integrations.memvr import MemVRConfig


@pytest.fixture(scope="module")
def scenes():
    return load_scenes(count=80)


def test_what_retracing_brings_back_is_set_apart_from_its_controls(scenes, tmp_path):
    model = tiny_llava()
    engine = BlindfoldableModel(model, scenes)
    lines = Blindfold(engine, scenes, tmp_path, progress=False).measure([0])
    found = {line.way: line for line in lines}
    assert found[BLIND].right.value == 50
    assert found[RIGHT].right.value == 100
    assert found[RIGHT].restored.value == found[RIGHT].over_other.value * 2 == 100
    for control in (OTHER, ALIKE, DAMPING):
        assert found[control].restored.value == 0
    table = (tmp_path / TABLE).read_text()
    assert "threshold 0.0" in table  # the setting that the dev images favour
    assert "20 other images" in table
    assert "over 60 images" in table
    assert len((tmp_path / FIGURES).read_text().splitlines()) == len(lines)
    asked = engine.asked
    again = Blindfold(engine, scenes, tmp_path, progress=False).measure([0])
    assert (again, engine.asked) == (lines, asked)


@pytest.mark.parametrize("where", [0, 3, 6])
def test_where_it_triggers_is_chosen_on_the_dev_images(where, scenes, tmp_path):
    model = tiny_llava()
    engine = BlindfoldableModel(model, scenes)
    engine.where = where
    lines = Blindfold(engine, scenes, tmp_path, progress=False).measure([0])
    assert {line.way: line for line in lines}[RIGHT].right.value == 100
    assert f"window {where}-" in (tmp_path / TABLE).read_text()


def test_two_layers_leave_one_place_to_retrace(scenes, tmp_path):
    model = tiny_llava()
    engine = BlindfoldableModel(model, scenes)
    engine.layers, engine.preset = 2, MemVRConfig().for_depth(2)
    lines = Blindfold(engine, scenes, tmp_path, progress=False).measure([0])
    assert {line.way: line for line in lines}[RIGHT].right.value == 100


def test_no_setting_is_chosen_on_images_that_are_measured_on(scenes, tmp_path):
    model = tiny_llava()
    Blindfold(BlindfoldableModel(model, scenes), scenes, tmp_path, progress=False).measure([1])

    def groups(part):
        lines = (tmp_path / part / "answers.jsonl").read_text().splitlines()
        return {json.loads(line)["question"].split("/")[0] for line in lines}

    assert not groups("dev-from-1") & groups("test-from-1")
    assert groups("test-from-1") == groups("sighted")


def test_the_same_theme_is_the_same_theme(scenes, tmp_path):
    model = tiny_llava()
    engine = BlindfoldableModel(model, scenes)
    Blindfold(engine, scenes, tmp_path, progress=False).measure([0])
    themes = {id(one.images[0]): scenes.scenes[one.group].theme for one in scenes.questions}
    pairs = [(themes[one], themes[other]) for one, other in engine.others]
    assert all(one != other for one, other in engine.others)
    alike = sum(one == other for one, other in pairs)
    assert len(pairs) / 2 <= alike < len(pairs)


def test_the_bundled_model_is_blind_without_attention(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(blindfold, "_RATIOS", ())  # the preset alone to choose from
    scenes = load_scenes(count=8)
    few = [one for one in scenes.questions if "/positive/" in one.id or "/random/" in one.id]
    scenes = dataclasses.replace(scenes, questions=tuple(few[::2]))
    with Backend(loaded) as backend:
        measured = Blindfold(backend, scenes, tmp_path, progress=False)
        lines = measured.measure([0])
    sighted, blind = lines[0], lines[1]
    assert sighted.right.value > blind.right.value + 20
    # Among so few no scene of the same theme need be.
    assert {line.way for line in lines[1:]} - {ALIKE} == {BLIND, RIGHT, OTHER, DAMPING}


def test_what_cannot_be_measured_is_refused(scenes, tmp_path):
    model = tiny_llava()
    engine = BlindfoldableModel(model, scenes)
    with pytest.raises(ConfigError, match="3 images are too few"):
        Blindfold(engine, scenes, tmp_path, limit=3)
    with pytest.raises(ConfigError, match="from_layer=99"):
        Blindfold(engine, scenes, tmp_path).measure([0, 99])
    assert engine.asked == 0
    unjudged = SimpleNamespace(name="free", questions=scenes.questions, right=lambda answers: {})
    with pytest.raises(BenchmarkError, match="free"):
        Blindfold(engine, unjudged, tmp_path)


def test_by_default_nothing_a_quarter_and_half_of_the_layers_are_seen():
    assert default_layers(32) == [0, 8, 16]
    assert default_layers(2) == [0, 1]
