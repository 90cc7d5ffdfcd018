"""The example programs run, and the example pictures show what is said of them."""

import re
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic.warnings import PydanticDeprecationWarning

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
IMAGES = EXAMPLES / "images"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "draw_scenes.py")


@pytest.fixture(scope="module")
def drawing():
    return runpy.run_path(str(EXAMPLES / "draw_scenes.py"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_runs(name, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # LlamaIndex's agents read deprecated attributes of pydantic.
        warnings.filterwarnings("ignore", category=PydanticDeprecationWarning)
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_every_picture_is_drawn_and_described(drawing):
    described = re.findall(r"^\| (\S+\.png) \|", (IMAGES / "README.md").read_text(), re.MULTILINE)
    assert described == list(drawing["PICTURES"])
    assert sorted(described) == sorted(path.name for path in IMAGES.glob("*.png"))


def test_pictures_show_what_is_said_of_them(drawing, tmp_path, capsys):
    drawing["main"](tmp_path)
    table = (IMAGES / "README.md").read_text()
    for line in capsys.readouterr().out.splitlines():
        name, _, truth = line.partition(": ")
        assert f"| {name} | {truth} |" in table
        shipped, drawn = (np.asarray(Image.open(folder / name)) for folder in (IMAGES, tmp_path))
        assert shipped.shape == drawn.shape == (128, 128, 3)
        # Other versions of Pillow scale a little differently.
        assert np.abs(shipped.astype(int) - drawn.astype(int)).mean() < 3
