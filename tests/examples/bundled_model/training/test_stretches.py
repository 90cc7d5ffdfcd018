"""The recipe in stretches: which is next, and that each leaves a model to go on from."""

import hashlib
import random
import shutil
from dataclasses import replace

import pytest
import torch
from bundled_model.training import stretches
from bundled_model.training.model import build_model, open_tokenizer, save
from bundled_model.training.stages.practice import PracticeStage
from bundled_model.training.stretches import Recipe, next_stretch, read_recipe
from bundled_model.training.trainer import TrainConfig

from memvr_integrations.errors import ModelLoadError

RECIPE = read_recipe()
MIX = {"tools": 1, "record": 0.5, "pair": 1, "drill": 2}
TINY = TrainConfig(
    steps=2, cooldown=1, batch=2, practised=2, mix=MIX, fresh=0.5, peak_lr=1e-3, turns=3,
    layers=2, width=32, heads=2, precision="float32",
)  # fmt: skip


def left(folder, name, weights=b"made"):
    """What a finished stretch leaves."""
    model = folder / name / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(weights)
    return model


def test_the_recipe_begins_with_weights_that_it_names():
    names = [one.name for one in RECIPE.stretches]
    assert len(set(names)) == len(names) >= 2
    assert len({one.seed for one in RECIPE.stretches}) == len(names)
    for one in RECIPE.stretches:
        assert one.stage in stretches._STAGES
        assert one.cooldown < one.steps


def test_the_shipped_weights_are_known(tmp_path):
    assert next_stretch(RECIPE, tmp_path) is not None


def test_each_begins_with_the_one_before(tmp_path):
    begun = next_stretch(RECIPE, tmp_path)
    assert begun is not None
    chosen, _ = begun
    rest = RECIPE.stretches[RECIPE.stretches.index(chosen) :]
    for one, following in zip(rest, [*rest[1:], None], strict=True):
        made = left(tmp_path, one.name)
        found = next_stretch(RECIPE, tmp_path)
        assert found == (None if following is None else (following, made))


def test_stretches_before_the_shipped_weights_are_done(tmp_path):
    shipped = left(tmp_path, "shipped", b"weights")
    first, second, *_ = RECIPE.stretches
    with pytest.raises(ModelLoadError, match="give the stretch that made them this value"):
        next_stretch(RECIPE, tmp_path, shipped)
    digest = hashlib.sha256(b"weights").hexdigest()
    known = Recipe(begins_with=RECIPE.begins_with, stretches=(replace(first, makes=digest), second))
    assert next_stretch(known, tmp_path, shipped) == (second, shipped)


def test_what_is_asked_for_and_is_not_there_is_said(tmp_path, capsys):
    with pytest.raises(SystemExit):
        stretches.parse(["--watch", str(tmp_path / "none.npz")])
    assert "--watch" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--more makes it"):
        stretches.main(["--folder", str(tmp_path), "--art", str(tmp_path / "none.npz")])
    stretches.main(["--folder", str(tmp_path), "--show"])
    assert "next: " in capsys.readouterr().out


@pytest.fixture
def begun(tmp_path):
    """A tiny finished model, in a folder with its tokenizer."""
    folder = tmp_path / "run"
    folder.mkdir()
    tokenizer = open_tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = build_model(layers=2, width=32, heads=2)
    save(model, tmp_path / "begun", tokenizer)
    return tmp_path / "begun"


def test_sight_stays_and_the_language_model_learns(begun):
    stage = PracticeStage(replace(TINY, init=begun), begun.parent / "run")
    stage.resume()
    before = {name: value.clone() for name, value in stage.net.state_dict().items()}
    losses = stage.one_step()
    assert {"answers", "practised", "yes/no"} <= losses.keys()
    moved = {
        name
        for name, value in stage.net.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved
    assert all("language_model" in name or "lm_head" in name for name in moved)


def test_a_picture_gets_the_mix_of_conversations(begun, scenes):
    stage = PracticeStage(replace(TINY, init=begun), begun.parent / "run")
    rows = [stage.practised(scenes[:2], random.Random(seed)) for seed in range(20)]
    kinds = [talk for made in rows for row in made for talk in row]
    listed = [talk for talk in kinds if talk.system]
    assert len(kinds) / 40 == pytest.approx(4.5, abs=0.25)
    assert 40 <= len(listed) <= 40 + 80


def test_a_stretch_that_was_stopped_goes_on_with_the_same_command(begun, tmp_path, monkeypatch):
    """The first step is interrupted; the second command ends it and leaves a model."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'begins_with = "0"\n[[stretch]]\nname = "a"\nstage = "practice"\nsteps = 2\n'
        "cooldown = 1\nbatch = 2\npractised = 2\nfresh = 0.5\npeak_lr = 1e-3\nseed = 1\n"
        'art = "shipped"\nmix = { drill = 1, record = 1 }\n'
    )
    [stretch] = read_recipe(recipe).stretches
    monkeypatch.setattr(stretches, "next_stretch", lambda *_: (stretch, begun))
    monkeypatch.setattr(
        stretches, "config_of", lambda one, init, args: replace(TINY, init=init, mix=one.mix)
    )
    options = ["--recipe", str(recipe), "--folder", str(tmp_path / "out"), "--device", "cpu"]
    options += ["--precision", "float32"]
    shutil.copytree(begun.parent / "run", tmp_path / "out" / "a")
    monkeypatch.setattr(PracticeStage, "_stops", lambda stage: stage.step > 0)
    with pytest.raises(SystemExit) as stopped:
        stretches.main(options)
    assert stopped.value.code == 130
    assert not (tmp_path / "out" / "a" / "model").exists()
    monkeypatch.setattr(PracticeStage, "_stops", lambda stage: False)
    steps = []
    one_step = PracticeStage.one_step
    monkeypatch.setattr(
        PracticeStage, "one_step", lambda stage: steps.append(stage.step) or one_step(stage)
    )
    stretches.main(options)
    assert steps == [1]
    assert (tmp_path / "out" / "a" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "out" / "a" / "model" / "heads.safetensors").is_file()
