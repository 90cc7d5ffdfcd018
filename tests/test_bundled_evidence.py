import hashlib
import re
import shutil
import sys

from memvr_integrations.bundled import WEIGHTS, evidence, report, trials, typed_exam
from memvr_integrations.bundled.art import SPRITES
from memvr_integrations.bundled.examinee import Examinee
from memvr_integrations.bundled.typed_exam import typed_questions


def test_the_command_writes_a_page_with_every_part(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trials, "_WINDOWS", ((1, 6),))
    monkeypatch.setattr(trials, "_THRESHOLDS", (0.3,))
    monkeypatch.setattr(trials, "_RATIOS", (0.6,))
    monkeypatch.setattr(report, "_DEGRADED", ("blur",))
    monkeypatch.setattr(typed_exam, "typed_questions", lambda name: typed_questions(name)[:5])
    say = Examinee.say
    # Whole sentences are no part of a page, and take the most time.
    monkeypatch.setattr(Examinee, "say", lambda *told, **how: say(*told, **(how | {"tokens": 4})))
    page, weights = tmp_path / "evidence.md", tmp_path / "weights"
    shutil.copytree(WEIGHTS, weights)
    sizes = "--scenes 3 --compared 2 --dev 2"
    options = ["--held-out", str(SPRITES), "--out", str(page), "--weights", str(weights)]
    options += ["--jobs", "1"]
    monkeypatch.setattr(sys, "argv", ["evidence", *sizes.split(), *options])
    evidence.main()
    text = page.read_text()
    for part in ("unseen art", "another image", "damping", "CHAIR_i", "AUC", "dev split"):
        assert part in text
    assert f"bundled.evidence {sizes}\n" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert min(widths) >= 4
    assert re.search(r"SHA-256 of\s+the weights", text)
    card = (weights / "README.md").read_text()
    digest = hashlib.sha256((WEIGHTS / "model.safetensors").read_bytes()).hexdigest()
    assert digest in card
    abilities = [line for line in text.splitlines() if line.startswith("| yes/no, random")]
    assert abilities[0] in card
    assert card.startswith("---\nlicense: apache-2.0\n")
