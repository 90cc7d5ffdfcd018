"""What of the repository goes into the wheel."""

import shutil
import subprocess
import tomllib
import zlib
from pathlib import Path

import pytest

from memvr_integrations.bundled import EXAMPLE

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "memvr_integrations"
LARGEST = 18_800_000


@pytest.fixture(scope="module")
def files():
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(
        [*command, PACKAGE.name], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_package_alone_is_packed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": [PACKAGE.name]}


def test_it_is_small_enough_and_most_of_it_is_the_model(files):
    sizes = {file.name: len(zlib.compress(file.read_bytes(), 1)) for file in files}
    assert sum(sizes.values()) <= LARGEST + 300_000  # packers compress better than level 1


def test_no_training_and_no_exam_is_in_it(files):
    names = [str(file.relative_to(PACKAGE)) for file in files]
    assert not [name for name in names if name.endswith((".jsonl", ".svg", ".ipynb"))]
    assert not [name for name in names if "training" in name or "exam" in name.split("/")]
    assert sorted(file.name for file in (PACKAGE / "bundled" / "weights").iterdir()) == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_one_picture_is_in_it_for_a_first_question(files):
    assert [file for file in files if file.suffix in (".png", ".jpg")] == [EXAMPLE]
    assert EXAMPLE.read_bytes() == (ROOT / "examples" / "images" / "farm.png").read_bytes()
