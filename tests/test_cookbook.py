"""The cookbook's programs run as they stand, and print what is shown under them."""

import re
import shlex
from pathlib import Path

import pytest
from shown_outputs import blocks, differs, run
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
COOKBOOK = ROOT / "docs" / "cookbook"
PAGES = sorted(COOKBOOK.glob("*.md"))
# The notebook's page is made from the notebook, whose cells tests/examples/test_notebooks.py runs.
PROGRAMS = [page for page in PAGES if page.name != "notebook.md"]
BLOCKS = [block for page in PROGRAMS for block in blocks(page) if block.language != "text"]
RUN = [block for block in BLOCKS if "needs-hub" not in block.marks]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Recipes write files, and find the examples where a checkout has them."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("loads_once")
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.stem) for page in sorted({one.page for one in RUN})]
)
def test_programs_print_what_is_shown(page, capsys):
    for block in (one for one in RUN if one.page == page):
        if block.language == "sh":
            printed = output_of(block.code)
        else:
            run(block.code, str(block), block.line, {"__name__": "__main__"})
            printed = capsys.readouterr().out
        found = differs(block.shown, printed)
        assert found is None, f"{block}: {found}"


def output_of(command):
    from memvr_integrations.cli import app

    program, *arguments = shlex.split(command)
    assert program == "memvr"
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_program_shows_its_output():
    assert [str(one) for one in RUN if one.shown is None] == []
    assert {one.language for one in BLOCKS} == {"python", "sh"}


def test_what_is_not_run_says_so():
    for page in {one.page for one in BLOCKS if one not in RUN}:
        assert "*Not run here:" in page.read_text(encoding="utf-8")


def test_every_recipe_has_its_parts_and_its_line_in_the_list():
    listed = re.findall(r"\]\(([\w-]+\.md)\) \|$", (COOKBOOK / "index.md").read_text(), re.M)
    assert sorted(listed) == [page.name for page in PAGES if page.name != "index.md"]
    for name in listed:
        text = (COOKBOOK / name).read_text(encoding="utf-8")
        assert [
            part for part in ("**Task:**", "**For your own:**", "**Look out:**") if part not in text
        ] == [], name


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a 0.50 b\n", "a   0.52 b"),
        ("left 10, top 3", "left 11, top 2"),
        ("a\n...\nd\n...", "a\nb\nc\nd\ne"),
        ("...\nd", "d"),
    ],
)
def test_what_is_near_enough_is_the_same(shown, printed):
    assert differs(shown, printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a 0.50", "a 0.54"),
        ("3 sheep", "4 sheep"),
        ("left 10", "left 12"),
        ("a 0.50", "a 1"),
        ("a\nb", "a"),
        ("a", "a\nb"),
        ("a\nc", "a\nb\nc"),
        ("a\n...\nd", "a\nb"),
        ("...\nd", "d\ne"),
    ],
)
def test_what_differs_is_found(shown, printed):
    assert differs(shown, printed) is not None
