"""`memvr doctor`: a line a finding, its JSON and its exit codes."""

import json
import warnings
from functools import partial
from pathlib import Path

import pytest
from tiny_family import TEXT
from transformers import LlamaConfig

from memvr_integrations.backend import Backend
from memvr_integrations.doctor import environment, examination
from memvr_integrations.doctor.examination import CHECKS, named
from memvr_integrations.doctor.finding import failed, ok
from memvr_integrations.doctor.subject import Subject
from memvr_integrations.errors import MemVRWarning


@pytest.fixture
def well(monkeypatch):
    """A machine on which nothing is wrong, and short answers; the documentation runs long ones."""
    monkeypatch.setattr(examination, "Subject", partial(Subject, tokens=4, rounds=1))
    for name in ("packages", "device", "free_disk"):
        monkeypatch.setattr(environment, name, lambda: ok("fine"))
    monkeypatch.setattr(environment, "_extras", list)


@pytest.fixture
def real_load(monkeypatch):
    """`Backend.load` as it is, in spite of the `memvr` fixture."""
    load = Backend.load
    return lambda: monkeypatch.setattr(Backend, "load", load)


def test_the_machine_alone(memvr, well):
    result = memvr("doctor")
    assert result.exit_code == 0
    assert memvr.calls == []
    *lines, last = result.stdout.splitlines()
    assert {line[:16].strip() for line in lines} <= {"ok", "not applicable"}
    assert " ok" in last


def test_the_bundled_model(memvr, well):
    result = memvr("doctor", "bundled", "--json", "--device", "cpu")
    shown = json.loads(result.stdout)
    assert result.exit_code == 0, result.stderr
    assert (shown["model"], shown["failed"], shown["warnings"]) == ("bundled", 0, [])
    of_model = [one for one in shown["checks"] if one["check"] in map(named, CHECKS)]
    assert [one["check"] for one in of_model] == [named(check) for check in CHECKS]
    assert {one["outcome"] for one in of_model} == {"ok"}
    assert all(set(one) == {"check", "outcome", "seconds", "says", "advice"} for one in of_model)
    assert "Loading bundled" in result.stderr
    assert "ok              identity" in result.stderr
    [(name, options)] = memvr.calls
    assert (name, options["device"], options["memvr"]) == ("bundled", "cpu", True)


def test_the_page_shows_all_checks():
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    output, table = page.split("```text")[1].split("```")
    for check in map(named, CHECKS):
        assert f"ok              {check:<23}" in output
        assert check in table


def test_what_failed_says_what_to_do(memvr, well, monkeypatch):
    def broken(subject):
        return failed("it is broken", "mend it")

    def raising(subject):
        raise ValueError("odd")

    monkeypatch.setattr(examination, "CHECKS", (broken, raising))
    result = memvr("doctor", "bundled")
    assert result.exit_code == 1
    assert "  it is broken\n" in result.stdout
    assert "what to do: mend it\n" in result.stdout
    assert "ValueError: odd" in result.stdout
    assert result.stdout.endswith(" 2 failed\n")


def test_what_loading_warns_of_is_reported(memvr, well, monkeypatch):
    load = Backend.load

    def warning(name, **options):
        warnings.warn(f"{name} is another revision", MemVRWarning, stacklevel=2)
        return load(name, **options)

    monkeypatch.setattr(Backend, "load", warning)
    monkeypatch.setattr(examination, "CHECKS", ())
    result = memvr("doctor", Path.home() / "mine", "--json")
    shown = json.loads(result.stdout)
    assert (shown["model"], shown["warnings"]) == ("~/mine", ["~/mine is another revision"])
    assert str(Path.home()) not in result.stdout


def test_ctrl_c_ends_it(memvr, well, monkeypatch):
    def interrupted(subject):
        raise KeyboardInterrupt

    monkeypatch.setattr(examination, "CHECKS", (interrupted,))
    result = memvr("doctor", "bundled")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr


def test_models_that_cannot_be_loaded(real_load, memvr, well, checkpoint, tmp_path):
    (checkpoint / "model.safetensors").write_bytes(b"broken")
    language = tmp_path / "language"
    LlamaConfig(**TEXT).save_pretrained(language)
    real_load()
    for model, says in {
        checkpoint: "was found but could not be loaded",
        language: "is a 'llama' model",
        "nowhere": "'nowhere' is no catalog name",
    }.items():
        result = memvr("doctor", model, "--device", "cpu")
        assert result.exit_code == 1
        *_, line, advice, last = result.stdout.splitlines()
        assert line.startswith("failed          model loads")
        assert says in line
        assert "what to do:" in advice
        assert "1 failed" in last
