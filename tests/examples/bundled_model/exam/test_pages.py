"""The pages that the exam writes, and what its command refuses."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from bundled_model.art.icons import HELD_OUT
from bundled_model.exam import evidence, report
from bundled_model.exam.card import write_card
from bundled_model.exam.examinee import Examinee

from memvr_integrations.backend import Completion, TokenRecord, Usage
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world import SPRITES


def test_the_command_writes_a_page_with_every_part(tmp_path, monkeypatch):
    """Everything but the model's answers, which take the most time."""
    usage = Usage(prompt_tokens=1, image_tokens=0, completion_tokens=1)
    token = TokenRecord(id=1, text="Yes", logprob=0.0, entropy=0.5, output_entropy=0.5)
    yes = Completion(
        text="Yes", finish_reason="stop", usage=usage, tokens=(token,), model="", memvr=None
    )
    monkeypatch.setattr(Examinee, "ask", lambda one, pictures, prompts, **how: [yes] * len(prompts))
    monkeypatch.setattr(
        Examinee, "leanings", lambda one, pictures, prompts, **how: torch.rand(len(prompts))
    )
    monkeypatch.setattr(report, "_DEGRADED", ("blur",))
    page, weights = tmp_path / "evidence.md", tmp_path / "weights"
    shutil.copytree(WEIGHTS, weights)
    sizes = "--scenes 3 --compared 2 --dev 2"
    options = ["--held-out", str(SPRITES), "--out", str(page), "--weights", str(weights)]
    options += ["--jobs", "1", "--themes", "kitchen,farm"]
    evidence.main([*sizes.split(), *options])
    text = page.read_text()
    for part in ("unseen art", "another image", "damping", "CHAIR_i", "AUC", "dev split"):
        assert part in text
    figures = f"--weights {weights} --themes kitchen,farm --held-out {SPRITES}"
    assert f"bundled_model.exam.evidence {sizes} {figures}\n" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert min(widths) >= 4
    card = (weights / "README.md").read_text()
    digest = hashlib.sha256((WEIGHTS / "model.safetensors").read_bytes()).hexdigest()
    assert digest in card
    assert f"9,760,576 parameters, SHA-256 of `model.safetensors` `{digest[:16]}`" in text
    assert next(line for line in text.splitlines() if line.startswith("| yes/no, random")) in card


def test_a_card_names_every_file_and_the_stages(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    log = tmp_path / "training.jsonl"
    lines = [{"stage": "vision", "step": 50, "minutes": 1.0}]
    lines += [{"stage": "vision", "step": 6000, "minutes": 59.6}]
    log.write_text("".join(json.dumps(one) + "\n" for one in lines))
    about = {"classes": 3, "themes": ("sea", "sky"), "abilities": ["| a |", "| 1 |"]}
    path = write_card(tmp_path, machine="Measured.", log=log, **about)
    card = path.read_text()
    assert f"| `model.safetensors` | 7 | `{hashlib.sha256(b'weights').hexdigest()}` |" in card
    assert "| vision | 6,000 | 60 |" in card
    assert "3 classes in 2 themes (sea, sky)" in card
    # It doesn't hold its own checksum, so writing it again changes nothing.
    assert write_card(tmp_path, machine="Measured.", log=log, **about).read_text() == card


@pytest.fixture
def page(tmp_path):
    return ["--out", str(tmp_path / "page.md")]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("--out nowhere/page.md", "nowhere/page.md can't be written"),
        ("--out .", "give a file in a folder that is there"),
        ("--themes kitchn", "there are kitchen"),
        ("--compared 300 --scenes 100", "at most --compared 100"),
        ("--dev 1", "give at least 2"),
        ("--weights nowhere", "no model in --weights nowhere"),
        ("--held-out nowhere.npz", "bundled_model.art.render --held-out nowhere.npz` makes it"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(given, shown, page, capsys):
    with pytest.raises(SystemExit):
        evidence.parse([*page, *given.split()])
    assert shown in capsys.readouterr().err


def test_the_themes_of_other_weights_must_be_named(page, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").touch()
    with pytest.raises(SystemExit):
        evidence.parse([*page, "--weights", str(other)])
    assert "--themes 'kitchen,fruit stand,farm" in capsys.readouterr().err
    assert evidence.parse([*page, "--weights", str(other), "--themes", "sea"]).themes == ("sea",)


def test_the_page_names_the_options_that_its_figures_depend_on(page, tmp_path):
    sizes = "--scenes 1000 --compared 300 --dev 150"
    assert evidence.options(evidence.parse([*page, "--jobs", "7"])) == sizes
    named = evidence.options(evidence.parse([*page, "--themes", "fruit stand"]))
    assert named == f"{sizes} --themes 'fruit stand'"
    same = tmp_path / "same.npz"
    np.savez(same, **{f"{style}|cow|cow": np.zeros(1) for style in HELD_OUT})
    assert evidence.options(evidence.parse([*page, "--held-out", str(same)])) == sizes
