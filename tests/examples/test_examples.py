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
# What is right, for the example pictures: weights that answer otherwise are worse.
SAYS = {
    "ask.py": ["Yes, there is a dog."],
    "collection_evidence.py": [
        "2 scenes, 1 questions",
        "| words and vectors | ",
        "| plain decoding, shown the right scene |",
    ],
    "langchain_abstention.py": [
        "Is there a tree in the picture? Yes",
        "There are two houses. (truth: two;",
        "knife in the picture? No",
        "What color is the house? I can't tell from what I see. (truth: yellow, its roof",
    ],
    "langchain_agent.py": ["'name': 'look'", "tool: (a picture)", "ai: There is one fork."],
    "langchain_chain.py": ["A farm scene with ", "Yes, there is a dog.", "'Yes' "],
    "langchain_folder.py": ["kitchen.png: There are no sheep.", "There are three sheep."],
    "langchain_graph.py": ["There are three sheep. (retraced at 2", "three sheep. (retraced at 4"],
    "langchain_rag.py": ["There are three sheep. [1] (three-sheep.png)"],
    "langchain_structured.py": [
        "Found(place='farm', sheep=0, has_dog=True) as it is",
        "Found(place='farm', sheep=0, has_dog=False) as it is",
        "Found(place='kitchen', sheep=0, has_dog=False) as it is",
    ],
    "llama_index_agent.py": ["called gallery\n", "There are three sheep. [1]"],
    "llama_index_chat.py": [
        "Yes, there is a dog. [1] farm.png",
        "A tree and two houses. [1] farm.png",
        "There is one fork. [1] ",
    ],
    "llama_index_citations.py": ["shows 2 images", "There are three sheep. [1]"],
    "llama_index_folder.py": ["There are three sheep. [1]", "[1] three-sheep.png:"],
    "many_questions.py": ["farm.png: Is there a dog in the picture? Yes", "knife? No", "three"],
    "off_and_on.py": ["off: 16 of 16 right, 0 answers", "eager: 16 of 16 right, 0 answers"],
    "retracing.py": ["Yes, there is a dog.", "step 0: triggered by 2"],
    "stream.py": ["A farm scene with a house, a cow and a tree.", "stop, "],
}


@pytest.fixture(scope="module")
def drawing():
    return runpy.run_path(str(EXAMPLES / "draw_scenes.py"))


@pytest.mark.usefixtures("loads_once")
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_runs(name, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # LlamaIndex's agents read deprecated attributes of pydantic.
        warnings.filterwarnings("ignore", category=PydanticDeprecationWarning)
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    said = capsys.readouterr().out
    assert [words for words in SAYS[name] if words not in said] == []


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
