"""The model `memvr` of lmms-eval: its classes over a small stand-in, and over the real package."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import types
from dataclasses import dataclass
from importlib.metadata import entry_points

import pytest
import torch
from PIL import Image as Pillow
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.evaluate.harnesses import lmms_eval_plugin
from memvr_integrations.evaluate.harnesses.lmms_eval_asking import LmmsEvalOptions
from memvr_integrations.evaluate.running.asking import Strategy
from memvr_integrations.types import Text

MODULE = "memvr_integrations.evaluate.harnesses.lmms_eval_model"
REAL = importlib.util.find_spec("lmms_eval") is not None and any(
    one.name == "memvr" for one in entry_points(group="lmms_eval.models")
)


class Base:
    """What the classes need of `lmms_eval.api.model.lmms`."""

    is_simple = True

    def __init__(self):
        self.task_dict, self.cleaned = {}, False

    def clean(self):
        self.cleaned = True


@dataclass
class Counts:
    input_tokens: int
    output_tokens: int


@dataclass
class Result:
    text: object
    token_counts: Counts | None = None


@dataclass
class Request:
    args: tuple[object, ...]


class Messages:
    """`ChatMessages`: content with "url" becomes content under its type's name."""

    def __init__(self, messages):
        self.messages = messages

    def to_hf_messages(self):
        keys = {"text": "text"}
        return [
            {
                "role": message["role"],
                "content": [
                    {"type": one["type"], one["type"]: one[keys.get(one["type"], "url")]}
                    for one in message["content"]
                ],
            }
            for message in self.messages
        ]


@dataclass
class Manifest:
    model_id: str
    chat_class_path: str
    simple_class_path: str


@pytest.fixture
def logged():
    """What was logged of the cost."""
    return []


@pytest.fixture
def module(monkeypatch, logged):
    """Our module, imported over the stand-in, and gone afterwards."""
    contents = {
        "lmms_eval": {},
        "lmms_eval.api": {},
        "lmms_eval.api.instance": {
            "GenerationResult": Result,
            "Instance": Request,
            "TokenCounts": Counts,
        },
        "lmms_eval.api.model": {"lmms": Base},
        "lmms_eval.models": {},
        "lmms_eval.models.model_utils": {},
        "lmms_eval.models.model_utils.gen_metrics": {
            "log_metrics": lambda **figures: logged.append(figures)
        },
        "lmms_eval.models.registry_v2": {"ModelManifest": Manifest},
        "lmms_eval.protocol": {"ChatMessages": Messages},
    }
    for name, members in contents.items():
        fake = types.ModuleType(name)
        vars(fake).update(members)
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    yield importlib.import_module(MODULE)
    sys.modules.pop(MODULE, None)


class Engine(ScriptedEngine):
    closed_by_us = False

    def close(self):
        self.closed_by_us = True


@pytest.fixture
def engine(monkeypatch):
    made = Engine(lambda request: f"Said: {text_of(request.messages[-1])}")
    monkeypatch.setattr(
        LmmsEvalOptions, "load", lambda self, batch: (made, Strategy(name=self.decoding))
    )
    return made


PICTURE = Pillow.new("RGB", (8, 8))
DOCS = [{"question": f"Number {n}?"} for n in range(3)]


def to_messages(doc):
    picture = {"type": "image", "url": PICTURE}
    return [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [picture, {"type": "text", "text": doc["question"]}]},
    ]


def chat_request(number, messages=to_messages, **generation):
    return Request(("context", messages, generation, number, "task", "test"))


def simple_request(number, seen=(PICTURE, PICTURE), **generation):
    return Request((f"Number {number}?", generation, lambda doc: seen, number, "task", "test"))


def made(kind, **options):
    model = kind(**options)
    model.task_dict = {"task": {"test": DOCS}}
    return model


def test_the_manifest_names_classes_of_the_right_kinds(module):
    manifest = lmms_eval_plugin.manifest()
    paths = {False: manifest.chat_class_path, True: manifest.simple_class_path}
    for simple, path in paths.items():
        place, _, name = path.rpartition(".")
        assert place == MODULE
        assert getattr(module, name).is_simple is simple


def test_chat_tasks_are_answered_in_order_with_their_token_counts(module, engine, logged):
    model = made(module.MemVRChat, pretrained="bundled", batch_size="2", device="cpu")
    results = model.generate_until([chat_request(n, max_new_tokens=4) for n in (2, 0, 1)])
    assert [one.text for one in results] == [f"Said: Number {n}?" for n in (2, 0, 1)]
    assert results[0].token_counts == Counts(input_tokens=68, output_tokens=3)
    assert [m.role for m in engine.requests[0].messages] == ["system", "user"]
    assert len(engine.requests[0].images) == 1
    assert engine.requests[0].sampling.max_tokens == 4
    assert logged[0]["total_gen_tokens"] == 9
    assert (model.batch_size, model.device) == (2, torch.device("cpu"))
    model.clean()
    assert engine.closed_by_us
    assert model.cleaned


def test_a_system_prompt_of_the_options_takes_the_tasks_place(module, engine):
    made(module.MemVRChat, system_prompt="Be polite.").generate_until([chat_request(0)])
    [request] = engine.requests
    assert [m.content for m in request.messages if m.role == "system"] == [(Text("Be polite."),)]


def test_options_are_checked_before_anything_is_loaded(module):
    with pytest.raises(ConfigError, match="Did you mean 'decoding'"):
        module.MemVRChat(decodin="vcd")


def test_simple_tasks_show_all_images_before_the_text(module, engine):
    model = made(module.MemVRSimple)
    [result] = model.generate_until([simple_request(1)])
    assert result.text == "Said: Number 1?"
    assert len(engine.requests[0].images) == 2
    model.generate_until([simple_request(1, seen=None), simple_request(1, seen=["a.PNG"])])
    assert [len(request.images) for request in engine.requests[1:]] == [0, 1]


@pytest.mark.parametrize("seen", [["clip.mp4"], [{"array": [0.0], "sampling_rate": 16000}]])
def test_videos_and_sounds_are_refused(module, engine, seen):
    with pytest.raises(RequestError, match="only texts and images") as refused:
        made(module.MemVRSimple).generate_until([simple_request(1, seen=seen)])
    assert "task, test, 1" in refused.value.__notes__[0]


def test_choices_come_back_as_results_with_pairs(module, engine):
    engine.scores = {"yes": -0.5, "no": -2.0}
    model = made(module.MemVRSimple)
    asked = [
        Request(("A?", choice, lambda doc: [PICTURE], 0, "task", "test"))
        for choice in (" yes", lambda doc: "no")
    ]
    pairs = [result.text for result in model.loglikelihood(asked)]
    assert [figure for figure, _ in pairs] == [0.5, 2.0]
    with pytest.raises(RequestError, match="acc_mutual_info"):
        model.loglikelihood([Request(("", "yes"))])


def test_tasks_in_rounds_go_on_as_they_say(module, engine):
    def rounds(doc, round_idx=None, previous_output=None, previous_round_info=None):
        if round_idx is None:
            return to_messages(doc)
        if round_idx == 2:
            return None, True, [*previous_output, "the end"], None
        asked = {"question": f"after {previous_output[-1]} {previous_round_info}"}
        return to_messages(asked), False, None, "notes"

    said = made(module.MemVRChat).generate_until_multi_round([chat_request(0, rounds)])
    assert said == [["Said: Number 0?", "Said: after Said: Number 0? None", "the end"]]
    once = chat_request(1, lambda doc, **of_the_round: to_messages(doc))
    assert made(module.MemVRChat).generate_until_multi_round([once]) == [["Said: Number 1?"]]
    with pytest.raises(RequestError, match="leave --force_simple out"):
        made(module.MemVRSimple).generate_until_multi_round([])


@pytest.mark.parametrize(
    ("device", "number", "gpus", "expected"),
    [
        ("auto", "1", 2, "cuda:1"),
        ("auto", None, 2, "auto"),
        ("auto", "0", 1, "auto"),
        ("cpu", "1", 2, "cpu"),
    ],
)
def test_every_process_of_a_launcher_takes_a_gpu_of_its_own(
    module, engine, monkeypatch, device, number, gpus, expected
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if number is not None:
        monkeypatch.setenv("LOCAL_RANK", number)
    assert module.MemVRChat(device=device)._options.device == expected


TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
doc_to_visual: !function of_tasks.seen
doc_to_text: question
doc_to_target: answer
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
{more}
"""
MORE = {
    "drawn_words": "output_type: generate_until\nprocess_results: !function of_tasks.right\n"
    "generation_kwargs: {max_new_tokens: 8, do_sample: false, num_beams: 1}",
    "drawn_choice": "output_type: multiple_choice\ndoc_to_choice: ['yes', 'no']",
}
OF_TASKS = """
import PIL.Image
def seen(doc): return [PIL.Image.open(doc["file"])]
def right(doc, said): return {"acc": float(bool(said[0]))}
"""


@pytest.mark.skipif(not REAL, reason="needs lmms-eval, and this package installed beside it")
@pytest.mark.parametrize(
    ("name", "flags"), [("drawn_words", ""), ("drawn_choice", "--force_simple")]
)
def test_the_real_lmms_eval_runs_a_task(tmp_path, scenes, name, flags):
    data = tmp_path / "data.jsonl"
    with data.open("w") as lines:
        for number, scene in enumerate(scenes):
            file = tmp_path / f"{number}.png"
            Pillow.fromarray(scene.pixels).save(file)
            doc = {"file": str(file), "question": "Is there a dog in the picture?", "answer": "no"}
            lines.write(json.dumps(doc) + "\n")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "of_tasks.py").write_text(OF_TASKS)
    (tasks / f"{name}.yaml").write_text(TASK.format(name=name, data=data, more=MORE[name]))
    arguments = (
        f"--model memvr --include_path {tasks} --tasks {name} --batch_size 4 "
        "--model_args pretrained=bundled,decoding=memvr+vcd,device=cpu "
        f"--output_path {tmp_path / 'out'} {flags}"
    )
    done = subprocess.run(
        [sys.executable, "-m", "lmms_eval", *arguments.split()],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    files = list((tmp_path / "out").rglob("*results.json"))
    assert files, done.stdout + done.stderr
    [file] = files
    assert json.loads(file.read_text())["n-samples"][name]["effective"] == len(scenes)
