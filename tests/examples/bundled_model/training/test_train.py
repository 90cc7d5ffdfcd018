import json
import sys
from dataclasses import replace

import pytest
from bundled_model.training import marking, train
from bundled_model.training.model import open_tokenizer
from transformers import AutoProcessor, LlavaForConditionalGeneration

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world.scenes import SPRITES
from memvr_integrations.bundled.world.words import THEMES

SMALL = "--batch 2 --glances 2 --turns 2 --device cpu --precision float32"


def test_an_unknown_theme_is_told(capsys):
    with pytest.raises(SystemExit):
        train.parse(["--themes", "kitchen,moonbase"])
    assert "no such theme: moonbase; there are kitchen" in capsys.readouterr().err


def test_options_reach_both_stages():
    vision, joint = train.configs(
        train.parse(["--vision-steps", "7", "--lr", "0.5", "--seed", "3"])
    )
    assert (vision.steps, vision.seed) == (7, 3)
    assert (joint.peak_lr, joint.seed) == (0.5, 3)
    assert vision.themes == joint.themes == tuple(THEMES)


def test_the_speed_of_drawing_is_measured():
    assert train.drawing_speed(SPRITES, seconds=0.05) > 0


@pytest.mark.parametrize(("options", "told"), [
    ("--art nothing.npz", "--art nothing.npz is no file; give one of bundled_model.art.render"),
    ("--watch nothing.npz", "--watch nothing.npz is no file; give one of bundled_model.art.render"),
    ("--init owner/name", "--init owner/name has no config.json; give the folder of a finished"),
    ("--tower owner/name", "--tower owner/name has no config.json; give the folder of a finished"),
    (f"--init {WEIGHTS} --tower {WEIGHTS}", f"which --tower {WEIGHTS} would make anew; drop one"),
    (f"--init {WEIGHTS} --language-first", "which --language-first would make anew; drop one"),
    ("--batch 0", "--batch 0 can't be shared evenly (processes: 1); give a multiple of 1, 1 or"),
    ("--steps -5", "--steps -5 must be 0 or more"),
    ("--threads -2", "--threads -2 must be 0 or more"),
    ("--vision-lr 2", "--vision-lr 2.0 must lie between 0 and 1"),
    ("--restyled 7", "--restyled 7.0 is a share; give 0 to 1"),
    ("--turns 0", "--turns 0 must be 1 or more"),
    ("--device foo", "--device foo isn't there; give cpu, or cuda with a GPU"),
    ("--glances -1", "--glances -1 can't be shared evenly (processes: 1); give a multiple of 1, 0"),
])  # fmt: skip
def test_what_cannot_be_trained_with_is_told_at_once(capsys, options, told):
    with pytest.raises(SystemExit):
        train.parse(options.split())
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("options", ["--batch 2", "--batch 33", "--glances 97", "--glances 2"])
def test_pictures_are_shared_evenly_by_the_processes(torchrun, capsys, options):
    assert train.parse(["--batch", "6", "--glances", "0"]).batch == 6
    with pytest.raises(SystemExit):
        train.parse(options.split())
    assert "(processes: 6); give a multiple of 6" in capsys.readouterr().err


def test_every_process_takes_a_gpu_of_its_own(tmp_path, torchrun, monkeypatch):
    told = []
    monkeypatch.setattr(train, "configs", lambda args: told.append(args) or sys.exit())
    for device, taken in (("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cpu", "cpu")):
        options = ["--device", device, "--precision", "float32", "--folder", str(tmp_path)]
        with pytest.raises(SystemExit):
            train.main([*options, "--batch", "6"])
        assert told.pop().device == taken


@pytest.fixture
def torchrun(monkeypatch):
    """The last of six processes that share two GPUs."""
    for name, value in (("WORLD_SIZE", "6"), ("LOCAL_RANK", "5"), ("TORCHELASTIC_RUN_ID", "x")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(train.dist, "init_process_group", lambda backend: None)
    monkeypatch.setattr(train.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(train.torch.cuda, "is_available", lambda: True)


def test_the_command_goes_from_art_to_a_model_that_opens(tmp_path, monkeypatch, tiny_stages):
    options = f"--vision-steps 1 --steps 1 {SMALL}"
    monkeypatch.setattr(sys, "argv", ["train", "--folder", str(tmp_path), *options.split()])
    train.main()
    assert LlavaForConditionalGeneration.from_pretrained(tmp_path / "model").config
    tokenizer = AutoProcessor.from_pretrained(tmp_path / "model").tokenizer
    assert len(tokenizer(" strawberries", add_special_tokens=False).input_ids) == 1
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")


def test_language_first_goes_through_all_four_stages(tmp_path, monkeypatch, tiny_stages):
    open_tokenizer().save_pretrained(tmp_path)  # making one takes long
    options = "--vision-steps 1 --language-first --language-steps 1 --align-steps 1 --steps 1"
    more = SMALL
    told = ["train", "--folder", str(tmp_path), *options.split(), *more.split()]
    monkeypatch.setattr(sys, "argv", told)
    train.main()
    log = (tmp_path / "log.jsonl").read_text().splitlines()
    stages = [json.loads(line)["stage"] for line in log]
    assert stages == ["vision", "language", "align", "joint"]
    assert LlavaForConditionalGeneration.from_pretrained(tmp_path / "model").config
    # A tower that has learnt already needs no stage of its own.
    other = tmp_path / "other"
    options = options.replace("--vision-steps 1", f"--tower {tmp_path / 'model'}")
    open_tokenizer(tmp_path).save_pretrained(other)
    train.main(["--folder", str(other), *options.split(), *more.split()])
    log = (other / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["stage"] for line in log] == ["language", "align", "joint"]


def test_a_second_model_for_the_blindfold_lies_beside_the_first(tmp_path, tiny_stages):
    open_tokenizer().save_pretrained(tmp_path)  # making one takes long
    options = f"--vision-steps 1 --steps 1 {SMALL}"
    train.main(["--folder", str(tmp_path), *options.split(), "--blindfold-steps", "1"])
    first, second = (
        LlavaForConditionalGeneration.from_pretrained(tmp_path / name).state_dict()
        for name in ("model", "model-blindfold")
    )
    assert first.keys() == second.keys()
    assert any(not value.equal(second[name]) for name, value in first.items())
    # What is trained on keeps its tokenizer, in another folder too.
    other = tmp_path / "other"
    begun = ["--folder", str(other), "--init", str(tmp_path / "model"), *options.split()]
    train.main(begun)
    assert (other / "tokenizer.json").read_text() == (tmp_path / "tokenizer.json").read_text()


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["Vision", "Language", "Align", "Joint", "Blindfold"])
def test_every_stage_is_measured_on_a_gpu(tmp_path, monkeypatch, tiny_stages, name):
    monkeypatch.setattr(marking, "_SCENES", 4)
    open_tokenizer().save_pretrained(tmp_path)
    [config, _] = train.configs(train.parse(["--device", "cuda", "--precision", "float32"]))
    figures = getattr(train, f"{name}Stage")(config, tmp_path).measure()
    assert all(value >= 0 for value in figures.values())


@pytest.fixture
def tiny_stages(monkeypatch):
    small = {"layers": 2, "width": 32, "heads": 2, "measure_every": 10**9}
    monkeypatch.setattr(train, "VISION", replace(train.VISION, batch=2, **small))
    monkeypatch.setattr(train, "LANGUAGE", replace(train.LANGUAGE, batch=2, turns=2, **small))
    monkeypatch.setattr(train, "ALIGN", replace(train.ALIGN, batch=2, **small))
    monkeypatch.setattr(train, "JOINT", replace(train.JOINT, batch=2, **small))
    monkeypatch.setattr(train, "BLINDFOLD", replace(train.BLINDFOLD, batch=2, turns=2, **small))
    monkeypatch.setattr("bundled_model.training.stages.blindfold.LAYER", 1)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("bundled_model.training.trainer._LOG_EVERY", 1)


def test_ctrl_c_ends_with_a_sentence_and_not_with_a_traceback(tmp_path, monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_train", interrupted)
    with pytest.raises(SystemExit, match="130"):
        train.main(["--folder", str(tmp_path)])
    assert "the same command goes on" in capsys.readouterr().err
