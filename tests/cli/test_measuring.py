"""The commands that measure."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from memvr_integrations.cli import app
from memvr_integrations.evaluate.benchmarks.catalog import NAMES
from memvr_integrations.evaluate.running.runs import ANSWERS
from memvr_integrations.types.decoding import STRATEGIES


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_eval_prints_a_table_and_goes_on(tmp_path):
    words = ["eval", "scenes", "--out", tmp_path / "run", "--limit", 2, "--device", "cpu"]
    done = run(*words, "--strategies", "shuffled")
    assert done.exit_code == 0, done.output
    assert "random/official/accuracy" in done.output
    assert "shuffled - plain" in done.output
    answers = (tmp_path / "run" / ANSWERS).read_text()
    again = run(*words, "--strategies", "shuffled")
    assert again.exit_code == 0
    assert (tmp_path / "run" / ANSWERS).read_text() == answers
    more = run(*words, "--strategies", "shuffled,damping")
    assert more.exit_code == 0
    assert (tmp_path / "run" / ANSWERS).read_text().startswith(answers)
    other = run(*words, "--strategies", "damping", "--limit", 1)
    assert other.exit_code == 1
    assert "holds another evaluation" in other.output


@pytest.mark.parametrize("command", ["eval", "calibrate"])
def test_the_help_names_every_benchmark(command):
    told = run(command, "--help").output
    assert [name for name in NAMES if name not in told] == []


def test_the_help_names_every_strategy():
    told = run("eval", "--help").output
    assert [name for name in STRATEGIES if name not in told] == []


def test_calibrate_writes_a_preset(tmp_path):
    words = ["--limit", 4, "--minutes", 0, "--device", "cpu"]
    done = run("calibrate", "scenes", "--out", tmp_path / "run", *words)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "run" / "preset.json").read_text())
    assert told["model"] == "bundled"
    assert told["tried"] >= 1


def test_calibrate_without_labels(tmp_path, scenes):
    (tmp_path / "photos").mkdir()
    for index, scene in enumerate(scenes[:4]):
        Image.fromarray(scene.pixels).save(tmp_path / "photos" / f"{index}.png")
    words = ["--folder", tmp_path / "photos", "--things", "dog, cat, cow, pig, spoon, fork"]
    words += ["--limit", 4, "--minutes", 0, "--device", "cpu"]
    done = run("calibrate", "self", "--out", tmp_path / "run", *words)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "run" / "preset.json").read_text())
    assert told["benchmark"] == "self"
    assert (tmp_path / "run" / "labels" / ANSWERS).exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["eval", "scenes", "--strategies", "contrastive"], "needs a student"),
        (["eval", "scenes", "--student", "x"], "none of memvr, damping, shuffled asks one"),
        (["calibrate", "self"], "name one with --folder"),
        (["calibrate", "self", "--folder", "."], "no image"),
        (["eval", "popes"], "Did you mean 'pope'"),
        (["eval", "pope", "--folder", "nowhere"], "nowhere"),
        (["eval", "scenes", "--strategies", "memvvr"], "Did you mean 'memvr'"),
        (["eval", "scenes", "--temperature", "1", "--seed", "1"], "at least 3"),
        (["calibrate", "scenes", "--folder", "here"], "leave the folder out"),
    ],
)
def test_wrong_words_are_told_before_a_model_is_loaded(words, text, tmp_path):
    done = run(*words, "--out", tmp_path, "--model", "nothing-like-it")
    assert done.exit_code == 1
    assert text in " ".join(done.output.split())


def test_eval_blindfold_tells_what_is_restored(tmp_path):
    words = ["eval", "blindfold", "--out", tmp_path / "run", "--limit", 8, "--device", "cpu"]
    done = run(*words, "--layers", "3")
    assert done.exit_code == 0, done.output
    assert "| from layer 3 | blindfolded |" in done.output
    assert "| from layer 3 | same theme |" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["blindfold", "--temperature", "1"], "--temperature doesn't go with blindfold"),
        (["blindfold", "--strategies", "vcd"], "--strategies doesn't go with blindfold"),
        (["blindfold", "--layers", "a,3"], "--layers a,3 must be numbers"),
        (["blindfold", "--on", "popes"], "no benchmark 'popes'"),
        (["scenes", "--layers", "3"], "goes with `memvr eval blindfold` alone"),
        (["scenes", "--on", "pope"], "goes with `memvr eval blindfold` alone"),
    ],
)
def test_options_of_the_blindfold_stay_with_it(tmp_path, words, said):
    done = run("eval", *words, "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()
