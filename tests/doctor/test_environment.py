"""What the doctor says of a machine, and of what is missing on it."""

import shutil
from importlib import metadata
from pathlib import Path

import pytest
import torch

from memvr_integrations.doctor import environment

NEEDED = ["torch>=1", "pillow>=99", "nowhere>=2"]
NEEDED += ["quantum>=3; extra == 'quant'", "pytest>=1; extra == 'test'"]


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: NEEDED)
    named = metadata.metadata("pytest")
    for name in ("quant", "test", "empty"):
        named["Provides-Extra"] = name
    monkeypatch.setattr(metadata, "metadata", lambda name: named)


def outcomes():
    return {one.check: one for one in environment.examine_environment()}


def test_missing_and_old_packages():
    found = environment.packages()
    assert found.outcome == "failed"
    assert f"pillow {metadata.version('pillow')} (needs >=99)" in found.says
    assert "nowhere is missing (needs >=2)" in found.says
    assert "torch" not in found.says
    assert found.advice == 'pip install "pillow>=99" "nowhere>=2"'


def test_an_extra(monkeypatch):
    assert [name for name in outcomes() if name.startswith("extra")] == ["extra quant"]
    missing = environment.extra("quant")
    assert missing.outcome == "not applicable"
    assert '".[quant]"' in missing.says
    monkeypatch.setattr(metadata, "version", lambda name: "2.5")
    assert environment.extra("quant").outcome == "failed"
    monkeypatch.setattr(metadata, "version", lambda name: "3.0+cpu")
    assert environment.extra("quant").outcome == "ok"


def test_a_folder_that_is_not_installed(monkeypatch):
    def unknown(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", unknown)
    monkeypatch.setattr(metadata, "metadata", unknown)
    assert outcomes()["packages"].outcome == "not applicable"


def test_a_machine_that_is_well(monkeypatch):
    monkeypatch.setattr(environment, "_LEAST_DISK", 0)
    monkeypatch.setattr(environment, "_DRIVER", Path("nowhere"))
    found = outcomes()
    for check in ("versions", "device", "free memory", "free disk"):
        assert found[check].outcome == "ok", found[check]
    assert "auto takes" in found["device"].says
    assert "GB" in found["free memory"].says


@pytest.mark.parametrize(
    ("build", "advice"), [("13.0", "driver for CUDA 13.0"), (None, "torch with CUDA")]
)
def test_a_gpu_that_torch_does_not_see(monkeypatch, tmp_path, build, advice):
    monkeypatch.setattr(environment, "_DRIVER", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", build)
    found = environment.device()
    assert found.outcome == "failed"
    assert advice in found.advice


def test_a_full_disk_and_one_that_is_not_ours(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1000))
    full = environment.free_disk()
    assert full.outcome == "failed"
    assert "HF_HOME" in full.advice
    monkeypatch.setattr(environment.os, "access", lambda path, mode: False)
    assert "can't be written to" in environment.free_disk().says


def test_a_system_that_does_not_say_its_memory(monkeypatch):
    monkeypatch.setattr(environment, "_MEMORY", Path("nowhere"))
    assert environment.free_memory().outcome == "not applicable"
