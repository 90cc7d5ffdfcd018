"""`memvr ask`: what goes to stdout and to stderr, warnings, exit codes."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memvr_integrations.backend import Backend
from memvr_integrations.cli import app
from memvr_integrations.errors import MemVRWarning
from memvr_integrations.grounding import CANNOT_TELL
from memvr_integrations.types.decoding import VCDConfig

ROOT = Path(__file__).parents[2]
LOADING = "Loading bundled ...\n"


# -- answering


def test_the_answer_goes_to_stdout_and_a_summary_to_stderr(memvr, backend, ask, scene_file):
    result = memvr("ask", scene_file, "Describe the picture.")
    [expected] = backend.generate(ask("Describe the picture.", 0))
    assert result.exit_code == 0
    assert result.stdout == expected.text + "\n"
    waiting, summary = result.stderr.splitlines()
    assert waiting == LOADING.strip()
    assert summary.startswith(f"[{len(expected.tokens)} tokens in ")
    assert ("never retraced" in summary) == (expected.retraced == 0)


def test_json(memvr, backend, ask, scene_file):
    result = memvr("ask", scene_file, "What is there?", "--json", "--max-tokens", "5")
    shown = json.loads(result.stdout)
    [expected] = backend.generate(ask("What is there?", 0, max_tokens=5))
    assert list(shown) == [
        "answer",
        "images",
        "model",
        "memvr",
        "decoding",
        "usage",
        "finish_reason",
        "boxes",
        "tokens",
        "warnings",
    ]
    assert (shown["answer"], shown["model"]) == (expected.text, "bundled")
    assert shown["memvr"] == backend.preset.to_dict()
    assert shown["usage"] == {
        "prompt_tokens": expected.usage.prompt_tokens,
        "image_tokens": 64,
        "completion_tokens": expected.usage.completion_tokens,
        "total_tokens": expected.usage.total_tokens,
    }
    assert shown["finish_reason"] == expected.finish_reason
    assert [set(token) for token in shown["tokens"]] == [
        {"id", "text", "logprob", "entropy", "entropies", "output_entropy", "trigger_layer", "top"}
    ] * len(expected.tokens)
    assert shown["warnings"] == []
    assert result.stderr == LOADING


def test_json_with_the_likeliest_tokens(memvr, scene_file):
    asked = ("ask", scene_file, "What is there?", "--max-tokens", 3)
    shown = json.loads(memvr(*asked, "--json", "--top-logprobs", 2).stdout)
    for token in shown["tokens"]:
        first, second = token["top"]
        assert first == {key: token[key] for key in ("id", "text", "logprob")}
        assert second["logprob"] < first["logprob"]
    assert all(token["top"] == [] for token in json.loads(memvr(*asked, "--json").stdout)["tokens"])
    refused = memvr(*asked, "--top-logprobs", 2)
    assert refused.exit_code == 2
    assert "add --json" in refused.stderr


def test_without_memvr(memvr, scene_file):
    result = memvr("ask", scene_file, "What?", "--no-memvr", "--json", "--max-tokens", 3)
    shown = json.loads(result.stdout)
    assert shown["memvr"] is None
    assert all(token["entropy"] is None for token in shown["tokens"])
    assert "MemVR off" in memvr("ask", scene_file, "What?", "--no-memvr").stderr


def test_an_unsure_answer_is_withheld(memvr, scene_file):
    asked = ("ask", scene_file, "What is there?", "--max-tokens", 5)
    said = memvr(*asked).stdout.strip()
    result = memvr(*asked, "--abstain", 0)
    assert result.stdout == CANNOT_TELL + "\n"
    assert f"is above 0.00: {said}]" in result.stderr
    assert memvr(*asked, "--abstain", 1).stdout.strip() == said
    shown = json.loads(memvr(*asked, "--abstain", "0", "--json").stdout)
    assert (shown["answer"], shown["checks"]["withheld"]) == (CANNOT_TELL, said)
    searched = memvr(*asked, "--abstain", "0", "--no-memvr", "--decoding", "opera")
    assert searched.stdout == CANNOT_TELL + "\n"


@pytest.mark.parametrize("measured", [0.0, 1.0])
def test_the_measured_threshold_counts(memvr, scene_file, monkeypatch, measured):
    asked = ("ask", scene_file, "What?", "--max-tokens", 3, "--abstain", "measured")
    refused = memvr(*asked)
    assert refused.exit_code == 1
    assert "No threshold was measured for 'bundled'" in refused.stderr
    monkeypatch.setattr(Backend, "abstention", measured)
    assert (memvr(*asked).stdout.strip() == CANNOT_TELL) == (measured == 0)


@pytest.mark.parametrize("given", ["x", "7", "-1"])
def test_no_threshold_is_refused(memvr, scene_file, given):
    result = memvr("ask", scene_file, "What?", f"--abstain={given}")
    assert result.exit_code == 2
    assert "neither 'measured' nor a number" in result.stderr


def test_several_images(memvr, scene_file):
    result = memvr("ask", scene_file, scene_file, "Same?", "--json", "--max-tokens", 1)
    assert json.loads(result.stdout)["usage"]["image_tokens"] == 128


def test_a_question_on_stdin(memvr, scene_file):
    piped = memvr("ask", scene_file, "-", "--max-tokens", 6, stdin="Is there a dog?\n")
    assert piped.stdout == memvr("ask", scene_file, "Is there a dog?", "--max-tokens", 6).stdout
    assert memvr("ask", scene_file, "-", stdin=" \n").exit_code == 2


def test_settings_reach_the_model(memvr, scene_file):
    result = memvr(
        "ask", scene_file, "What?", "--json", "--max-tokens", 2, "--entropy-threshold", 0.1,
        "--retracing-ratio", 0.3, "--starting-layer", 1, "--ending-layer", 5, "--model", "other",
        "--dtype", "bfloat16", "--device", "cpu",
    )  # fmt: skip
    settings = json.loads(result.stdout)["memvr"]
    assert [settings[key] for key in ("entropy_threshold", "retracing_ratio")] == [0.1, 0.3]
    assert [settings[key] for key in ("starting_layer", "ending_layer")] == [1, 5]
    [(name, options)] = memvr.calls
    assert name == "other"
    assert (options["dtype"], options["device"], options["quantization"]) == (
        "bfloat16",
        "cpu",
        None,
    )


def test_a_photograph_is_answered_with_one_hint(memvr, tmp_path):
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg")
    result = memvr("ask", tmp_path / "photo.jpg", "What is this?", "--json")
    assert result.exit_code == 0
    [hint] = json.loads(result.stdout)["warnings"]
    assert result.stderr.splitlines()[1:] == [f"hint: {hint}"]
    assert "smolvlm-256m" in hint


def test_more_pictures_than_the_model_reads_are_answered_with_one_hint(memvr, scene_file):
    result = memvr("ask", *[scene_file] * 3, "Same?", "--json", "--max-tokens", 1)
    [hint] = json.loads(result.stdout)["warnings"]
    assert hint.startswith("3 pictures were given, and bundled reads 2 at once at most")
    assert result.stderr.splitlines()[1:] == [f"hint: {hint}"]


def test_json_carries_every_warning(memvr, monkeypatch, make_backend, scene_file):
    load = Backend.load

    def warned(name, **options):
        warnings.warn("of loading", MemVRWarning, stacklevel=1)
        warnings.warn("of another library", UserWarning, stacklevel=1)
        return load(name, **options)

    stream = Backend.stream

    def streamed(self, request):
        warnings.warn("of asking", MemVRWarning, stacklevel=1)
        return stream(self, request)

    monkeypatch.setattr(Backend, "load", warned)
    monkeypatch.setattr(Backend, "stream", streamed)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        result = memvr("ask", scene_file, "What?", "--json", "--max-tokens", 1)
    hints = ["of loading", "of another library", "of asking"]
    assert json.loads(result.stdout)["warnings"] == hints


def test_an_animation_is_answered_with_one_hint(memvr, tmp_path, scenes):
    from PIL import Image

    first, second = (Image.fromarray(scene.pixels) for scene in scenes[:2])
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    result = memvr("ask", tmp_path / "moving.gif", "What?", "--max-tokens", 1)
    assert result.stderr.count("more than one frame") == 1


def test_a_long_question_is_no_file_name(memvr, scene_file):
    assert memvr("ask", scene_file, "Is there a dog? " * 40, "--max-tokens", 1).exit_code == 0


# -- refusing


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nothing.png", "What?"], "memvr: file 'nothing.png' is not there"),
        (["a" * 300, "What?"], "is not there"),
        (
            ["https://a:b@img.example.org/a.png?key=1", "What?"],
            "allowed_hosts=['img.example.org'])",
        ),
        (["HTTP://img.example.org:8000/a.png", "What?"], "org:8000'], allow_http=True)"),
        (["file:///nowhere/a%20b.png", "What?"], "give the path alone: /nowhere/a b.png"),
        (["data:image/png;base64,AAAA", "What?"], "save the picture as a file"),
        (["https://[::1/a.png", "What?"], "is not a URL"),
        ([__file__, "What?"], "looks like text"),
        (["SCENE", "What?", "--max-tokens", "0"], "max_tokens=0"),
        (["SCENE", "What?", "--temperature", "-1"], "temperature=-1.0"),
        (["SCENE", "What?", "--ending-layer", "40"], "6 layers"),
        (["SCENE", "see <image>"], "'<image>'"),
        (["SCENE", "half \udcff"], "surrogates"),
    ],
)
def test_failures_are_one_line_and_exit_code_1(memvr, scene_file, arguments, text):
    result = memvr("ask", *[scene_file if part == "SCENE" else part for part in arguments])
    assert result.exit_code == 1
    assert result.stdout == ""
    refusal = result.stderr.removeprefix(LOADING)
    assert refusal.startswith("memvr: ")
    assert text in refusal
    assert refusal.count("\n") == 1
    assert "key=1" not in refusal


def test_an_unknown_model_is_one_line(scene_file):
    result = CliRunner().invoke(app, ["ask", str(scene_file), "What?", "-m", "lava-1.5-7b"])
    refusal = result.stderr.removeprefix("Loading lava-1.5-7b ...\n")
    assert (result.exit_code, refusal.count("\n")) == (1, 1)
    assert "Did you mean 'llava-1.5-7b'?" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["What?"],
        ["SCENE"],
        ["SCENE", ""],
        ["SCENE", "SCENE"],
        ["SCENE", "What?", "--no-memvr", "--retracing-ratio", "0.2"],
        ["SCENE", "What?", "--dtype", "int3"],
        ["SCENE", "What?", "--no-such-option"],
        ["--example", "SCENE", "What?"],
        [],
    ],
)
def test_wrong_usage_is_exit_code_2(memvr, scene_file, arguments):
    result = memvr("ask", *[scene_file if part == "SCENE" else part for part in arguments])
    assert result.exit_code == 2
    assert memvr.calls == []


@pytest.mark.parametrize(("more", "word"), [([], "farm"), (["Is there a dog there?"], "dog")])
def test_the_sample_picture_and_its_question(more, word):
    result = CliRunner().invoke(app, ["ask", "--example", *more, "--max-tokens", "40"])
    assert word in result.stdout


def test_stdin_that_is_no_text_is_refused(scene_file):
    done = subprocess.run(
        [sys.executable, "-c", "from memvr_integrations.cli import main; main()", "ask",
         str(scene_file), "-"],
        input=b"caf\xe9?",
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"stdin is not utf-8 text" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_decoding_strategy(memvr, scene_file):
    command = ["ask", scene_file, "Is there a dog?", "--max-tokens", 2]
    shown = json.loads(memvr(*command, "--json", "--decoding", '{"name":"vcd","alpha":0.5}').stdout)
    assert shown["decoding"] == VCDConfig(alpha=0.5).to_dict()
    assert "decoded by flb" in memvr(*command, "--decoding", "flb").stderr


def test_a_strategy_that_knows_its_answer_at_the_end(memvr, scene_file):
    command = ["ask", scene_file, "Is there a dog?", "--max-tokens", 2, "--decoding", "opera"]
    done = memvr(*command, "--no-memvr")
    assert done.stdout.strip()
    assert "decoded by opera" in done.stderr
    shown = json.loads(memvr(*command, "--no-memvr", "--json").stdout)
    assert shown["answer"] == done.stdout.strip()
    assert "memvr=None leaves it out" in memvr(*command).stderr


@pytest.mark.parametrize(
    ("text", "code", "match"),
    [
        ("vdc", 1, "Did you mean 'vcd'"),
        ('{"name"', 2, "is no JSON"),
        ('{"alpha":' + "9" * 5000 + "}", 2, "is no JSON"),
        ("{}", 1, "its 'name'"),
    ],
)
def test_a_wrong_strategy_is_refused_before_loading(memvr, scene_file, text, code, match):
    done = memvr("ask", scene_file, "Is there a dog?", "--decoding", text)
    assert done.exit_code == code
    assert match in " ".join(done.stderr.replace("│", " ").split())
    assert not memvr.calls
