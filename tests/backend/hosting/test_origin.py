"""Keys of models: equal for equal weights and settings, in every process, and for nothing else."""

import os

import pytest

from memvr_integrations.backend.hosting import locating, origin
from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import origin_here
from memvr_integrations.backend.hosting.origin import Origin

FILES = {"config.json": b'{"model_type": "llava"}', "model.safetensors": b"weights" * 99}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    for name, data in FILES.items():
        (made / name).write_bytes(data)
    return made


def key(folder, settings=()):
    return Origin.of_folder(folder, settings).key()


def test_a_copy_has_the_same_key(folder, tmp_path):
    again = tmp_path / "copy"
    again.mkdir()
    for name, data in FILES.items():
        (again / name).write_bytes(data)
    (again / "README.md").write_text("A note.")
    (again / "optimizer.pt").write_bytes(b"not read")
    assert key(folder) == key(again) is not None
    assert key(folder, ("cpu",)) not in (key(folder), key(folder, ("cuda",)))


def test_a_key_outlives_the_process(folder, monkeypatch):
    before = key(folder)
    origin._digest.cache_clear()
    assert key(folder) == before
    monkeypatch.setattr(origin, "__version__", "99")
    assert key(folder) != before


@pytest.mark.parametrize("name", [*FILES, "vocab.txt", "additional_chat_templates/a.jinja"])
def test_every_byte_of_a_file_that_is_read_counts(folder, name):
    before = key(folder)
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    data = FILES.get(name, b"a")
    file.write_bytes(data[:-1] + b"X")
    assert key(folder) != before


def test_a_change_that_hides_its_time_is_seen(folder):
    before, file = key(folder), folder / "model.safetensors"
    times = file.stat()
    file.write_bytes(FILES[file.name][::-1])
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert key(folder) != before


def test_what_changed_since_it_was_loaded_has_no_key(folder):
    known, late = Origin.of_folder(folder, ()), Origin.of_folder(folder, (1,))
    before = known.key()
    (folder / "model.safetensors").write_bytes(b"others")
    assert known.key() == before  # as it was while it was read
    origin._digest.cache_clear()
    assert late.key() is None
    gone = Origin.of_folder(folder, ())
    (folder / "model.safetensors").unlink()
    assert gone.key() is None


def test_a_snapshot_of_the_hub_is_its_commit(folder):
    commit = folder.parent / ("a" * 40)
    folder.rename(commit)
    known = Origin.of_snapshot(commit, ())
    (commit / "config.json").write_text("{}")  # nobody writes there
    assert known.key() == Origin.of_snapshot(commit, ()).key() is not None
    assert known.key() != Origin.of_snapshot(commit, (1,)).key()


def test_how_it_is_loaded_counts(folder):
    configs = [
        LoadConfig(),
        LoadConfig(device="cpu", dtype="float32"),
        LoadConfig(device="cpu", dtype="bfloat16"),
        LoadConfig(device="cpu", quantization="8bit"),
        LoadConfig(device="cpu", quantization="4bit"),
        LoadConfig(device="cpu", attention="eager"),
    ]
    keys = [origin_here(str(folder), config).key() for config in configs]
    assert len(set(keys)) == len(keys)
    assert origin_here(str(folder), LoadConfig(memvr=None, progress=False)).key() == keys[0]


def test_a_hub_id_is_the_commit_that_was_downloaded(folder, monkeypatch):
    commit = folder.parent / ("a" * 40)
    folder.rename(commit)
    asked = []

    def download(source, *, revision, local_files_only):
        asked.append((source, revision))
        return str(commit)

    monkeypatch.setattr(locating, "snapshot_download", download)
    found = [origin_here("some/one", LoadConfig(revision=one)) for one in (None, "v2")]
    assert asked == [("some/one", None), ("some/one", "v2")]
    assert [one.commit for one in found] == ["a" * 40] * 2
    origin_here("smolvlm-256m", LoadConfig())
    assert asked[-1] == (find("smolvlm-256m").checkpoint, find("smolvlm-256m").revision)


def test_what_is_not_here_has_to_be_loaded_first():
    assert origin_here("someone/something", LoadConfig()) is None
    assert origin_here("llava-1.5-7b", LoadConfig()) is None
