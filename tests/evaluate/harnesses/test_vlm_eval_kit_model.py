"""The model for VLMEvalKit: its class and its launcher over a stand-in, and over the real one."""

import base64
import csv
import importlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from PIL import Image as Pillow
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.evaluate.harnesses.harness import HarnessOptions
from memvr_integrations.evaluate.running.asking import Strategy
from memvr_integrations.types import Image, Text

MODULE = "memvr_integrations.evaluate.harnesses.vlm_eval_kit_model"


def real_run():
    """The run.py beside an installed checkout of VLMEvalKit, or None."""
    found = importlib.util.find_spec("vlmeval")
    file = Path(found.origin).parents[1] / "run.py" if found and found.origin else None
    return file if file is not None and file.is_file() else None


REAL = real_run()


class Base:
    """What the class needs of `vlmeval.vlm.base.BaseModel`."""

    def __init__(self):
        self.dump_image_func = None


@pytest.fixture
def supported():
    """`supported_VLM`."""
    return {}


@pytest.fixture
def module(monkeypatch, supported):
    """Our module, imported over the stand-in, and gone afterwards."""
    contents = {
        "vlmeval": {},
        "vlmeval.vlm": {},
        "vlmeval.vlm.base": {"BaseModel": Base},
        "vlmeval.config": {"supported_VLM": supported},
    }
    for name, members in contents.items():
        fake = types.ModuleType(name)
        vars(fake).update(members)
        monkeypatch.setitem(sys.modules, name, fake)
    sys.modules["vlmeval"].vlm = sys.modules["vlmeval.vlm"]
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    yield importlib.import_module(MODULE)
    sys.modules.pop(MODULE, None)


@pytest.fixture
def engine(monkeypatch):
    made = ScriptedEngine(lambda request: f"Said: {text_of(request.messages[-1])}")
    monkeypatch.setattr(HarnessOptions, "load", lambda self: (made, Strategy(name=self.decoding)))
    return made


def test_a_question_keeps_the_order_of_its_texts_and_images(module, engine):
    model = module.MemVR(max_new_tokens=9, temperature=0.5, top_p=0.9, seed=4)
    message = [
        {"type": "text", "value": "Is this"},
        {"type": "image", "value": "a.png"},
        {"type": "text", "value": "a dog?"},
    ]
    assert model.generate_inner(message, dataset="any") == "Said: Is this a dog?"
    [request] = engine.requests
    [said] = request.messages
    assert said.content == (Text("Is this"), said.content[1], Text("a dog?"))
    assert said.content[1].source == Path("a.png")
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (9, 0.5, 0.9)
    assert sampling.seed == 4
    assert not model.use_custom_prompt("MMBench")
    assert model.INTERLEAVE
    assert not model.is_api


def test_roles_in_a_message_and_a_system_prompt(module, engine):
    message = [
        {"type": "text", "value": "Be brief.", "role": "system"},
        {"type": "text", "value": "A dog?", "role": "user"},
    ]
    module.MemVR().generate_inner(message)
    module.MemVR(system_prompt="Be polite.").generate_inner(message)
    messages = [[(m.role, text_of(m)) for m in request.messages] for request in engine.requests]
    assert messages == [
        [("system", "Be brief."), ("user", "A dog?")],
        [("system", "Be polite."), ("user", "A dog?")],
    ]


def test_a_conversation_of_several_turns(module, engine):
    turns = [
        {"role": "user", "content": [{"type": "image", "value": "a.png"}]},
        {"role": "assistant", "content": [{"type": "text", "value": "A dog."}]},
        {"role": "user", "content": [{"type": "text", "value": "Sure?"}]},
    ]
    assert module.MemVR().chat_inner(turns, dataset="MMDU") == "Said: Sure?"
    [request] = engine.requests
    assert [m.role for m in request.messages] == ["user", "assistant", "user"]
    assert [type(part) for part in request.messages[0].content] == [Image]


def test_videos_are_refused(module, engine):
    with pytest.raises(RequestError, match="frames"):
        module.MemVR().generate_inner([{"type": "video", "value": "clip.mp4"}])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"decoding": "shuffled+vcd"}, "one question at a time"),
        ({"top_p": 0.0}, "top_p"),
        ({"use_vllm": True}, "use_vllm"),
    ],
)
def test_options_that_cannot_be(module, options, text):
    with pytest.raises(ValueError, match=text):
        module.MemVR(**options)


def test_a_registered_model_is_made_when_it_is_asked_for(module, engine, supported):
    module.register("mine", pretrained="bundled", decoding="memvr+vcd")
    assert engine.requests == []
    model = supported["mine"](use_vllm=False)  # as run.py calls some names
    assert isinstance(model, module.MemVR)
    assert model._options.decoding == "memvr+vcd"
    assert sys.modules["vlmeval.vlm"].MemVR is module.MemVR
    with pytest.raises(ConfigError, match="Did you mean 'vcd'"):
        module.register("other", decoding="vdc")
    assert list(supported) == ["mine"]


@pytest.mark.parametrize(
    ("name", "model", "way"),
    [
        ("memvr-bundled", "bundled", "memvr"),
        ("memvr-bundled-plain", "bundled", "plain"),
        ("memvr-llava-1.5-7b-memvr+vcd", "llava-1.5-7b", "memvr+vcd"),
        ("memvr-llava-1.5-7b-vcd-plausibility", "llava-1.5-7b", "vcd-plausibility"),
    ],
)
def test_a_name_says_which_model_and_which_way(module, name, model, way):
    assert module.named(name) == {"pretrained": model, "decoding": way}


def test_the_launcher_registers_and_goes_on_as_run_py(module, supported, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["before"])
    run = tmp_path / "run.py"
    run.write_text(
        "import json, pathlib, sys\n"
        "from vlmeval.config import supported_VLM\n"
        "seen = json.dumps([__name__, sys.argv, [*supported_VLM]])\n"
        "pathlib.Path(__file__ + '.json').write_text(seen)\n"
    )
    given = ["--model", "memvr-bundled-vcd", "GPT4o", "--data", "MME", "--mode", "infer"]
    module.main([str(run), *given])
    name, argv, registered = json.loads(Path(f"{run}.json").read_text())
    assert (name, argv[1:]) == ("__main__", given)
    assert registered == ["memvr", "memvr-bundled-vcd"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("memvr-bundle", "Did you mean 'bundled'"),
        ("memvr-bundled-vdc", "Did you mean 'vcd'"),
        ("memvr-bundled-shuffled", "one question at a time"),
    ],
)
def test_the_launcher_refuses_names_before_anything_runs(module, tmp_path, capsys, name, text):
    run = tmp_path / "run.py"
    run.write_text("raise AssertionError\n")
    with pytest.raises(SystemExit):
        module.main([str(run), "--model", name])
    assert text in capsys.readouterr().err
    with pytest.raises(SystemExit):
        module.main([str(tmp_path / "none.py")])
    assert "run.py of a VLMEvalKit checkout" in capsys.readouterr().err


@pytest.mark.skipif(REAL is None, reason="needs VLMEvalKit, installed from a checkout")
def test_the_real_vlm_eval_kit_runs_a_data_set(tmp_path, scenes):
    with (tmp_path / "Drawn.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(["index", "image", "question", "answer", "category"])
        for number, scene in enumerate(scenes):
            encoded = io.BytesIO()
            Pillow.fromarray(scene.pixels).save(encoded, format="png")
            image = base64.b64encode(encoded.getvalue()).decode()
            table.writerow([number, image, "Is there a dog in the picture?", "No", "all"])
    config = {"Drawn": {"class": "ImageYORNDataset", "dataset": "Drawn"}}
    arguments = (
        "--data Drawn --model memvr-bundled memvr-bundled-vcd --judge exact_matching "
        f"--work-dir {tmp_path / 'out'}"
    ).split()
    done = subprocess.run(
        [sys.executable, "-m", MODULE, str(REAL), *arguments, "--data-config", json.dumps(config)],
        env={**os.environ, "LMUData": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    scores = {file.parent.parent.name for file in (tmp_path / "out").rglob("T*/*_score.csv")}
    assert scores == {"memvr-bundled", "memvr-bundled-vcd"}, done.stdout + done.stderr
