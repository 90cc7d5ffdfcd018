import hashlib
import re
import shutil
from itertools import islice

import numpy as np
import pytest
from bundled_model.art.icons import HELD_OUT
from bundled_model.exam import abilities, evidence, report, trials, typed_exam
from bundled_model.exam.exam_questions import papers
from bundled_model.exam.examinee import Examinee
from bundled_model.exam.typed_exam import typed_questions

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world.scenes import SPRITES


def test_the_command_writes_a_page_with_every_part(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trials, "_WINDOWS", ((1, 6),))
    monkeypatch.setattr(trials, "_THRESHOLDS", (0.3,))
    monkeypatch.setattr(trials, "_RATIOS", (0.6,))
    monkeypatch.setattr(report, "_DEGRADED", ("blur",))
    monkeypatch.setattr(typed_exam, "typed_questions", lambda name: typed_questions(name)[:5])
    monkeypatch.setattr(abilities, "papers", lambda *asked: islice(papers(*asked), 4))
    say = Examinee.say
    # Whole sentences are no part of a page, and take the most time.
    monkeypatch.setattr(Examinee, "say", lambda *told, **how: say(*told, **(how | {"tokens": 4})))
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
    assert re.search(r"SHA-256 of\s+the weights", text)
    card = (weights / "README.md").read_text()
    digest = hashlib.sha256((WEIGHTS / "model.safetensors").read_bytes()).hexdigest()
    assert digest in card
    measured = [line for line in text.splitlines() if line.startswith("| yes/no, random")]
    assert measured[0] in card
    assert card.startswith("---\nlicense: apache-2.0\n")


@pytest.fixture
def page(tmp_path):
    return ["--out", str(tmp_path / "page.md")]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--out nowhere/page.md", "nowhere/page.md can't be written"),
        ("--out .", "give a file in a folder that is there"),
        ("--themes kitchn", "Did you mean 'kitchen'?"),
        ("--compared 300 --scenes 100", "at most --compared 100"),
        ("--dev 1", "give at least 2"),
        ("--weights nowhere", "no model in --weights nowhere"),
        ("--held-out nowhere.npz", "bundled_model.art.render --held-out nowhere.npz` makes it"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(given, told, page, capsys):
    with pytest.raises(SystemExit):
        evidence.parse([*page, *given.split()])
    assert told in capsys.readouterr().err


def test_the_themes_of_other_weights_must_be_named(page, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").touch()
    with pytest.raises(SystemExit):
        evidence.parse([*page, "--weights", str(other)])
    assert "--themes 'kitchen,fruit stand,farm" in capsys.readouterr().err
    assert evidence.parse([*page, "--weights", str(other), "--themes", "sea"]).themes == ("sea",)


def test_the_page_tells_the_options_that_its_figures_depend_on(page, tmp_path):
    sizes = "--scenes 1000 --compared 300 --dev 150"
    assert evidence.options(evidence.parse([*page, "--jobs", "7"])) == sizes
    told = evidence.options(evidence.parse([*page, "--themes", "fruit stand"]))
    assert told == f"{sizes} --themes 'fruit stand'"
    same = tmp_path / "same.npz"
    np.savez(same, **{f"{style}|cow|cow": np.zeros(1) for style in HELD_OUT})
    assert evidence.options(evidence.parse([*page, "--held-out", str(same)])) == sizes


def test_art_that_npm_cannot_fetch_may_come_from_a_file(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="give a file of unseen art as --held-out"):
        evidence.main(page)
