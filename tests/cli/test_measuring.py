"""The commands that measure."""

import json

import pytest
from agreeing import Agreeing
from blindfoldable import BlindfoldableModel
from memvr_models import tiny_llava
from PIL import Image
from typer.testing import CliRunner

from memvr_integrations.backend import Backend
from memvr_integrations.cli import app
from memvr_integrations.evaluate.benchmarks.catalog import NAMES
from memvr_integrations.evaluate.running.runs import ANSWERS
from memvr_integrations.types.decoding import STRATEGIES


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def load(monkeypatch):
    """What `Backend.load` gives, and what it was asked for."""
    calls = []

    def give(engine):
        def loaded(name, **options):
            calls.append((name, options))
            return engine

        monkeypatch.setattr(Backend, "load", loaded)
        return calls

    return give


def test_eval_prints_a_table_and_goes_on(tmp_path, few_scenes, load):
    calls = load(Agreeing())
    words = ["eval", "scenes", "--out", tmp_path / "run", "--limit", 2, "--device", "cpu"]
    done = run(*words, "--strategies", "shuffled", "--batch", 3)
    assert done.exit_code == 0, done.output
    assert "random/official/accuracy" in done.output
    assert "shuffled - plain" in done.output
    [(name, options)] = calls
    assert (name, options["device"], options["queueing"].max_batch) == ("bundled", "cpu", 3)
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


@pytest.mark.parametrize("command", ["eval", "calibrate", "blindfold"])
def test_the_help_names_every_benchmark(command):
    shown = run(command, "--help").output
    assert [name for name in NAMES if name not in shown] == []


def test_the_help_names_every_strategy():
    shown = run("eval", "--help").output
    assert [name for name in STRATEGIES if name not in shown] == []


def test_calibrate_writes_a_preset(tmp_path, few_scenes, load):
    load(Agreeing())
    words = ["--limit", 4, "--minutes", 0, "--device", "cpu"]
    done = run("calibrate", "scenes", "--out", tmp_path / "run", *words)
    assert done.exit_code == 0, done.output
    shown = json.loads((tmp_path / "run" / "preset.json").read_text())
    assert shown["model"] == "scripted"
    assert shown["tried"] >= 1


@pytest.fixture
def own(tmp_path, scenes):
    """A file of one's own, with questions of every kind about four pictures."""
    rows = ["image;question;answer;choices"]
    for number, scene in enumerate(scenes[:4]):
        Image.fromarray(scene.pixels).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png;Is there a dog?;{'yes' if number % 2 else 'No'};")
    rows += ["0.png;What is it?;dog|pig;", "1.png;Which is it?;dog;dog|cat"]
    path = tmp_path / "own.csv"
    path.write_text("\ufeff" + "\r\n".join(rows) + "\r\n", encoding="utf-8", newline="")
    return path


def test_eval_of_a_file_of_ones_own(tmp_path, own, load):
    load(Agreeing())
    words = ["eval", own, "--out", tmp_path / "run", "--device", "cpu"]
    done = run(*words, "--strategies", "memvr,shuffled,vcd")
    assert done.exit_code == 0, done.output
    assert "own.csv: 6 questions about 4 pictures: 4 yes/no, 1 choice, 1 text" in done.stderr
    assert "memvr against plain: no difference shown beyond chance in accuracy" in done.stdout
    figures = json.loads((tmp_path / "run" / "figures.jsonl").read_text().splitlines()[0])
    assert figures["figures"]["yes-no/accuracy"]["value"] == 50
    assert figures["figures"]["yes-no/recall"]["value"] == 100
    own.write_text("image;question\n0.png;What?\n")
    done = run(*words)
    assert done.exit_code == 1
    assert "own.csv, line 1: there is no column 'answer'" in done.stderr


def test_calibrate_on_a_file_of_ones_own(tmp_path, own, load):
    load(Agreeing())
    words = ["--limit", 4, "--minutes", 0, "--device", "cpu"]
    done = run("calibrate", own, "--out", tmp_path / "run", *words)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "preset.json").read_text())["benchmark"] == "own.csv"
    assert run("calibrate", own, "--out", tmp_path / "run", *words).exit_code == 0


def test_calibrate_without_labels(tmp_path, scenes, load):
    load(Agreeing())
    (tmp_path / "photos").mkdir()
    for index, scene in enumerate(scenes[:4]):
        Image.fromarray(scene.pixels).save(tmp_path / "photos" / f"{index}.png")
    words = ["--folder", tmp_path / "photos", "--things", "dog, cat, cow, pig, spoon, fork"]
    words += ["--limit", 4, "--minutes", 0, "--device", "cpu"]
    done = run("calibrate", "self", "--out", tmp_path / "run", *words)
    assert done.exit_code == 0, done.output
    shown = json.loads((tmp_path / "run" / "preset.json").read_text())
    assert shown["benchmark"] == "self"
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
        (["eval", "nowhere.csv"], "nowhere.csv can't be read"),
        (["blindfold", "own.csv", "--folder", "here"], "leave the folder out"),
    ],
)
def test_wrong_words_are_refused_before_a_model_is_loaded(words, text, tmp_path):
    done = run(*words, "--out", tmp_path, "--model", "nothing-like-it")
    assert done.exit_code == 1
    assert text in " ".join(done.output.split())
    assert "Loading" not in done.output


def test_blindfold_shows_what_is_restored(tmp_path, few_scenes, load):
    load(BlindfoldableModel(tiny_llava(), few_scenes))
    words = ["--out", tmp_path / "run", "--limit", 8, "--device", "cpu", "--layers", "0"]
    done = run("blindfold", *words)
    assert done.exit_code == 0, done.output
    assert "| off | sighted | 100.0" in done.output
    assert "| from layer 0 | blindfolded | 50.0" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--layers", "a,3"], "--layers a,3 must be numbers"), (["popes"], "no benchmark 'popes'")],
)
def test_a_blindfold_that_can_not_be_put_on_is_refused(tmp_path, words, said):
    done = run("blindfold", *words, "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()
