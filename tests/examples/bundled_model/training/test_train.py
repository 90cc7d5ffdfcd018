import json
import sys
from dataclasses import replace

import pytest
from bundled_model.training import marking, train
from bundled_model.training.model import open_tokenizer
from transformers import AutoProcessor, LlavaForConditionalGeneration

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world import THEMES

SMALL = "--batch 2 --glances 2 --turns 2 --device cpu --precision float32"


def test_options_reach_both_stages():
    vision, joint = train.configs(
        train.parse(["--vision-steps", "7", "--lr", "0.5", "--seed", "3"])
    )
    assert (vision.steps, vision.seed) == (7, 3)
    assert (joint.peak_lr, joint.seed) == (0.5, 3)
    assert vision.themes == joint.themes == tuple(THEMES)


@pytest.mark.parametrize(("options", "shown"), [
    ("--themes kitchen,moonbase", "no such theme: moonbase; there are kitchen"),
    ("--art nothing.npz", "--art nothing.npz is no file; give one of bundled_model.art.render"),
    ("--init owner/name", "--init owner/name has no config.json; give the folder of a finished"),
    (f"--init {WEIGHTS} --language-first", "which --language-first would make anew; drop one"),
    ("--batch 0", "--batch 0 can't be shared evenly (processes: 1); give a multiple of 1, 1 or"),
    ("--steps -5", "--steps -5 must be 0 or more"),
    ("--vision-lr 2", "--vision-lr 2.0 must lie between 0 and 1"),
    ("--device foo", "--device foo isn't there; give cpu, or cuda with a GPU"),
])  # fmt: skip
def test_what_cannot_be_trained_with_is_refused_at_once(capsys, options, shown):
    with pytest.raises(SystemExit):
        train.parse(options.split())
    assert shown in capsys.readouterr().err


@pytest.mark.parametrize("options", ["--batch 2", "--batch 33", "--glances 97", "--glances 2"])
def test_pictures_are_shared_evenly_by_the_processes(torchrun, capsys, options):
    assert train.parse(["--batch", "6", "--glances", "0"]).batch == 6
    with pytest.raises(SystemExit):
        train.parse(options.split())
    assert "(processes: 6); give a multiple of 6" in capsys.readouterr().err


def test_every_process_takes_a_gpu_of_its_own(tmp_path, torchrun, monkeypatch):
    given = []
    monkeypatch.setattr(train, "configs", lambda args: given.append(args) or sys.exit())
    for device, taken in (("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cpu", "cpu")):
        options = ["--device", device, "--precision", "float32", "--folder", str(tmp_path)]
        with pytest.raises(SystemExit):
            train.main([*options, "--batch", "6"])
        assert given.pop().device == taken


@pytest.fixture
def torchrun(monkeypatch):
    """The last of six processes that share two GPUs."""
    for name, value in (("WORLD_SIZE", "6"), ("LOCAL_RANK", "5"), ("TORCHELASTIC_RUN_ID", "x")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(train.dist, "init_process_group", lambda backend: None)
    monkeypatch.setattr(train.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(train.torch.cuda, "is_available", lambda: True)


def test_a_run_that_is_killed_goes_on_with_the_same_command(tmp_path, monkeypatch, tiny_stages):
    """All stages, a step each; killed at the third, then given again."""
    open_tokenizer().save_pretrained(tmp_path)  # making one takes long
    steps = "--vision-steps 1 --language-first --language-steps 1 --align-steps 1 --steps 1"
    options = ["--folder", str(tmp_path), *steps.split(), *SMALL.split()]

    class Killed(BaseException):
        pass

    def kill(stage, *_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(train.AlignStage, "losses", kill)
        with pytest.raises(Killed):
            train.main(options)
    train.main(options)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    stages = [json.loads(line)["stage"] for line in lines]
    assert stages == ["vision", "language", "align", "joint"]
    assert LlavaForConditionalGeneration.from_pretrained(tmp_path / "model").config
    tokenizer = AutoProcessor.from_pretrained(tmp_path / "model").tokenizer
    assert len(tokenizer(" strawberries", add_special_tokens=False).input_ids) == 1
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")


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
    monkeypatch.setattr(train, "drawing_speed", lambda art: 0.0)
    small = {"layers": 2, "width": 32, "heads": 2, "measure_every": 10**9}
    monkeypatch.setattr(train, "VISION", replace(train.VISION, batch=2, **small))
    monkeypatch.setattr(train, "LANGUAGE", replace(train.LANGUAGE, batch=2, turns=2, **small))
    monkeypatch.setattr(train, "ALIGN", replace(train.ALIGN, batch=2, **small))
    monkeypatch.setattr(train, "JOINT", replace(train.JOINT, batch=2, **small))
    monkeypatch.setattr(train, "BLINDFOLD", replace(train.BLINDFOLD, batch=2, turns=2, **small))
    monkeypatch.setattr("bundled_model.training.stages.blindfold.LAYER", 1)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("bundled_model.training.trainer._LOG_EVERY", 1)
