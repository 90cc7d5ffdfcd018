"""Steps that are replayed: as if each had been computed; the tape stands in for a CUDA graph."""

import logging
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from families import FAMILIES
from tape import Tape
from tiny_family import LAYERS
from worlds import noise

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.backend.decoding.caches import slots
from memvr_integrations.backend.decoding.caches.captured import Capturing
from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import MemVRConfig, choosing
from memvr_integrations.types import DoLaConfig, VCDConfig

SOMETIMES = MemVRConfig(
    starting_layer=0, ending_layer=LAYERS - 1, entropy_threshold=0.75, retracing_ratio=0.5
)
LATER = replace(SOMETIMES, starting_layer=1, entropy_threshold=0.4)
PICTURES = noise(3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Backends of tiny models by family, which end no answer by themselves."""
    loaded = {}

    def load(name):
        if name not in loaded:
            folder = FAMILIES[name].save(name, tmp_path_factory.mktemp(name))
            # The probes of a CPU are quick because they wait.
            loaded[name] = Backend.load(
                folder, device="cpu", progress=False, prefix_bytes=0, probe="exact"
            )
        loaded[name]._worker.decoder.capturing = None
        return loaded[name]

    yield load
    for backend in loaded.values():
        backend.close()


def capturing(backend, **options):
    tape = Tape(**options)
    backend._worker.decoder.capturing = Capturing(tape, "tiny")
    return tape


def ask(question, *numbers, tokens=30, memvr=SOMETIMES, decoding=None, **sampling):
    images = [PICTURES[number] for number in numbers]
    params = SamplingParams(max_tokens=tokens, **sampling)
    return Request.ask(question, *images, sampling=params, memvr=memvr, decoding=decoding)


def same(one, other):
    assert [(t.id, t.trigger_layer) for t in one.tokens] == [
        (t.id, t.trigger_layer) for t in other.tokens
    ]
    for mine, theirs in zip(one.tokens, other.tokens, strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert mine.entropy == pytest.approx(theirs.entropy, abs=1e-4)
        assert mine.output_entropy == pytest.approx(theirs.output_entropy, abs=1e-4)
        assert [top.id for top in mine.top] == [top.id for top in theirs.top]


def mixed():
    return [
        ask("What?", 0, tokens=36, top_logprobs=3),
        ask("What is it then?", 1, memvr=None, tokens=24),
        ask("Why so?", 1, 2, memvr=LATER, tokens=50),
        ask("Which?", 2, tokens=36, temperature=1.2, seed=4, repetition_penalty=1.3),
        ask("And so?", 0, tokens=12, decoding=VCDConfig()),
    ]


# Plain; positions of three kinds; windows that are full soon in some of the layers.
@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "gemma3"])
def test_what_is_replayed_is_what_would_be_computed(tiny, name):
    backend = tiny(name)
    expected = backend.generate(mixed())
    tape = capturing(backend)
    for one, other in zip(expected, backend.generate(mixed()), strict=True):
        same(one, other)
    # 12, 24, 36 and 50 tokens: at each of these rows leave, and the others stay on.
    assert tape.captured == 4
    assert tape.replayed == 49 - 4 * 8
    same(expected[2], backend.generate(mixed()[2])[0])
    assert sum(one.retraced for one in expected) > 20
    report = backend.report()
    assert (report.captures, report.replayed) == (True, tape.replayed)
    assert tape.replayed == 49 - 4 * 8 + 49 - 8


def test_steps_are_captured_anew_when_rows_join_and_when_their_columns_are_full(tiny, monkeypatch):
    monkeypatch.setattr(slots, "_SPARE", 16)
    backend, first = tiny("llava"), ask("What?", 0, tokens=60)
    second = ask("Is it so?", 1, 2, memvr=LATER, tokens=20)
    expected = [backend.generate(one)[0] for one in (first, second)]
    tape = capturing(backend)
    answer = backend.stream(first)
    for _, chunk in zip(range(12), answer, strict=False):
        assert chunk.completion is None
    [joined] = backend.generate(second)
    *_, last = answer
    same(joined, expected[1])
    same(last.completion, expected[0])
    assert tape.captured >= 2
    captured = tape.captured
    same(backend.generate(first)[0], expected[0])
    assert tape.captured - captured == 2


def test_off_is_the_plain_model(tiny):
    backend = tiny("llava")
    tape, request = capturing(backend), ask("What?", 0, memvr=None)
    [answer] = backend.generate(request)
    assert tape.replayed > 10
    assert {(t.entropy, t.trigger_layer) for t in answer.tokens} == {(None, None)}
    never = replace(SOMETIMES, entropy_threshold=1.0)
    [silent] = backend.generate(ask("What?", 0, memvr=never))
    assert [t.id for t in silent.tokens] == [t.id for t in answer.tokens]
    # Probing changes nothing, to the last bit.
    assert [t.logprob for t in silent.tokens] == [t.logprob for t in answer.tokens]


@pytest.mark.parametrize("at", ["capture", "replay"])
def test_what_fails_once_is_computed_as_usual_from_then_on(tiny, caplog, at):
    backend = tiny("llava")
    expected = backend.generate(mixed())
    error = RuntimeError("operation not permitted\nwhen stream is capturing")
    tape = capturing(backend, **{"fails" if at == "capture" else "breaks": error})
    with caplog.at_level(logging.WARNING):
        for one, other in zip(expected, backend.generate(mixed()), strict=True):
            same(one, other)
        same(backend.generate(mixed()[2])[0], expected[2])
    # Other libraries say things once, whenever it is that they are first used.
    [record] = [one for one in caplog.records if one.name.startswith("memvr_integrations.")]
    assert "RuntimeError: operation not permitted when stream is capturing" in record.message
    assert tape.tried == 1
    report = backend.report()
    assert (report.captures, report.replayed) == (False, 0)


@pytest.fixture
def reusing(monkeypatch, tmp_path):
    """A backend that reuses a layer's best tokens, though its head is small."""
    monkeypatch.setattr(choosing, "_SMALL", 0)
    folder = FAMILIES["llava"].save("llava", tmp_path)

    @contextmanager
    def load():
        with Backend.load(folder, device="cpu", progress=False, prefix_bytes=0) as backend:
            yield backend

    return load


def test_reuse_is_captured_where_there_is_no_screen(reusing, monkeypatch):
    monkeypatch.setattr(choosing.Screen, "of", lambda weight, bias: None)
    with reusing() as backend:
        expected = backend.generate(mixed())
        assert backend.report().probe["way"] == "best of the first layer"
        tape = capturing(backend)
        for one, other in zip(expected, backend.generate(mixed()), strict=True):
            same(one, other)
    assert tape.captured == 4


def test_a_probe_that_waits_for_the_device_is_not_captured(reusing, caplog):
    with reusing() as backend:
        expected = backend.generate(mixed())
        assert backend.report().probe["way"] == "int8 screen"
        capturing(backend)
        with caplog.at_level(logging.WARNING):
            for one, other in zip(expected, backend.generate(mixed()), strict=True):
                same(one, other)
    assert "is not permitted when stream is capturing" in caplog.text


def test_sums_of_the_past_and_what_acts_inside_are_computed(tiny):
    for name, decoding in (("qwen3_5", None), ("llava", DoLaConfig())):
        backend = tiny(name)
        tape = capturing(backend)
        backend.generate(ask("What?", 0, memvr=None, decoding=decoding))
        assert tape.tried == 0
        assert backend.report().captures


def test_it_takes_a_cuda_device(loaded):
    with pytest.raises(ConfigError, match=r"one CUDA device, and this one is on cpu"):
        Backend(loaded, capture=True)
    with pytest.raises(ConfigError, match=r"one CUDA device, and this one is on cpu"):
        Backend.load("nowhere", device="cpu", capture=True)
    with pytest.raises(ConfigError, match="capture"):
        Backend.load("nowhere", device="cpu", capture="yes")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "gemma3"])
def test_a_graph_on_a_gpu_is_what_would_be_computed(name, tmp_path):
    folder = FAMILIES[name].save(name, tmp_path)
    options = {"device": "cuda", "dtype": "float32", "progress": False}
    with (
        Backend.load(folder, **options) as usual,
        Backend.load(folder, capture=True, **options) as graphs,
    ):
        expected, found = usual.generate(mixed()), graphs.generate(mixed())
        report = graphs.report()
    assert (report.captures, report.replayed) == (True, 49 - 4 * 8)
    for one, other in zip(expected, found, strict=True):
        same(one, other)


@pytest.mark.gpu
def test_a_capture_that_fails_on_a_gpu_costs_no_answer(tmp_path, caplog):
    folder = FAMILIES["llava"].save("llava", tmp_path)
    options = {"device": "cuda", "dtype": "float32", "progress": False}
    with Backend.load(folder, capture=True, **options) as backend:
        waits = backend.model.register_forward_hook(
            lambda module, args, out: torch.cuda.synchronize()
        )
        found = backend.generate(mixed())
        waits.remove()
        report = backend.report()
    with Backend.load(folder, **options) as usual:
        for one, other in zip(usual.generate(mixed()), found, strict=True):
            same(one, other)
    assert (report.captures, report.replayed) == (False, 0)
    assert "can't be captured" in caplog.text
