"""What the documentation shows is true: it runs, and it is up to date."""

import importlib.util
import logging
import re
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path

import generated_pages
import pytest
import shown_outputs
from agreeing import Agreeing
from pytest_examples import CodeExample, EvalExample, find_examples
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
SHOWN = [
    block
    for page in PAGES
    for block in shown_outputs.blocks(page)
    if block.shown is not None
    and block.language == "python"
    and not {"needs-hub", "example"} & block.marks
]
README_COMMANDS = (
    "pip install torch==2.13.0 -e . && "
    'memvr ask examples/images/farm.png "Is there a dog in the picture?"',
    'pip install torch==2.13.0 -e ".[test]" && pytest -n auto',
)

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
_KNOWN_LANGUAGES = {"python", "sh", "text"}


def marks(info):
    """The words of a fence's first line: "{.sh .needs-hub}" -> {"sh", "needs-hub"}."""
    return {word.lstrip(".") for word in info.strip(" {}").split()}


def blocks(language):
    """Every block of a language in the documentation, less those that need the hub."""
    for page in PAGES:
        for fence in _FENCE.finditer(page.read_text()):
            if language in marks(fence["info"]) and "needs-hub" not in marks(fence["info"]):
                yield page, fence["body"]


def commands():
    """Every shell command of the documentation, one by one."""
    for page, body in blocks("sh"):
        for line in body.splitlines():
            for command in line.split(" && "):
                yield pytest.param(command, id=f"{page.name}: {command}")


def python_blocks():
    # Included files are run by test_examples.
    # Those whose output is shown are run by the test that compares it.
    shown = {(block.page, block.code) for block in SHOWN}
    return [
        example
        for example in find_examples(*PAGES)
        if not {"needs-hub", "example"} & example.prefix_tags()
        and (example.path, example.source) not in shown
    ]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(autouse=True)
def quiet_afterwards():
    """A page shows how to switch logging on."""
    loggers = [logging.getLogger(name) for name in (None, "memvr_integrations")]
    before = [(one, one.level, one.handlers[:]) for one in loggers]
    yield
    for one, one.level, one.handlers in before:
        one.setLevel(one.level)  # which forgets what was cached under another


@pytest.mark.usefixtures("loads_once")
@pytest.mark.parametrize("example", python_blocks(), ids=str)
def test_python_block_runs(example: CodeExample, eval_example: EvalExample):
    eval_example.run(example)


@pytest.mark.usefixtures("loads_once")
@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_what_a_block_prints_is_what_is_shown(block, capsys):
    shown_outputs.run(block.code, str(block), block.line, {"__name__": "__main__"})
    found = shown_outputs.differs(block.shown, capsys.readouterr().out)
    assert found is None, f"{block}: {found}"


def test_every_block_of_the_first_screen_shows_its_output():
    blocks = list(shown_outputs.blocks(ROOT / "README.md"))
    assert {one.shown is not None for one in blocks if one.language == "python"} == {True}


@pytest.fixture
def short_examination(monkeypatch):
    from memvr_integrations.doctor import examination

    monkeypatch.setattr(examination, "Subject", partial(examination.Subject, tokens=2, rounds=1))


@pytest.fixture
def one_question_a_scene(monkeypatch, few_scenes):
    from memvr_integrations.evaluate.benchmarks import bundled_scenes

    first = {question.group: question for question in reversed(few_scenes.questions)}
    one = replace(few_scenes, questions=tuple(first.values())[::-1])
    monkeypatch.setattr(bundled_scenes, "load_scenes", lambda: one)


@pytest.fixture
def one_explained(monkeypatch):
    from memvr_integrations.evaluate.faithfulness import command

    monkeypatch.setattr(command, "QUESTIONS", 1)


@pytest.fixture
def agreeing_loads(monkeypatch):
    """A quick engine; what a model of pictures makes of the commands, tests/evaluate tries."""
    from memvr_integrations.backend import Backend

    monkeypatch.setattr(Backend, "load", lambda name, **options: Agreeing())


@pytest.mark.usefixtures("loads_once")
@pytest.mark.parametrize("command", list(commands()))
def test_shell_command_works(command, tmp_path, request):
    piped, _, rest = command.rpartition(" | ")
    words = shlex.split(rest)
    while "=" in words[0]:  # an environment variable before the command
        words.pop(0)
    match words:
        case ["memvr", *arguments]:
            said = shlex.split(piped)[1] if piped else None
            # Imported late: most of these tests need no model.
            from memvr_integrations.cli import app

            if arguments[0] in ("eval", "calibrate", "blindfold"):
                request.getfixturevalue("few_scenes")
                loads = "half_loads" if arguments[0] == "blindfold" else "agreeing_loads"
                request.getfixturevalue(loads)
            if arguments[0] == "blindfold":
                request.getfixturevalue("one_question_a_scene")
            if arguments[:2] == ["eval", "explain"]:
                request.getfixturevalue("one_explained")
            if arguments[0] == "doctor":
                request.getfixturevalue("short_examination")
            # What is written goes elsewhere: other processes run these tests as well.
            arguments = [
                str(tmp_path / one) if one.startswith("runs/") else one for one in arguments
            ]
            done = CliRunner().invoke(app, arguments, input=said)
            assert done.exit_code == 0, done.output
            assert done.stdout.strip()
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module)
        case ["python", script, *_]:
            assert (ROOT / script).is_file()
        case ["pip", "install", *_]:
            extras = re.findall(r"\[(.+)\]", command)
            declared = (ROOT / "pyproject.toml").read_text()
            assert all(f"\n{name} = [" in declared for e in extras for name in e.split(","))
        case ["ruff" | "mypy" | "lint-imports" | "mkdocs" | "pytest", *_]:
            pass  # .ci/run runs them
        case _:
            pytest.fail(f"nothing here knows how to check {command!r}")


def test_fences_are_of_kinds_that_are_tested():
    kinds = {
        next(iter(marks(fence["info"]) & _KNOWN_LANGUAGES), fence["info"])
        for page in PAGES
        for fence in _FENCE.finditer(page.read_text())
    }
    assert kinds == _KNOWN_LANGUAGES


def test_few_blocks_go_unchecked():
    text = "".join(page.read_text() for page in PAGES)
    assert text.count(".needs-hub}") <= 2


def test_included_files_are_examples_that_are_run():
    included = {name for page in PAGES for name in _SNIPPET.findall(page.read_text())}
    assert included
    assert all(Path(name).parent.name == "examples" for name in included)
    assert all((ROOT / name).is_file() for name in included)


@pytest.mark.parametrize("command", README_COMMANDS)
def test_readme_and_start_page_have_the_two_commands(command):
    assert command in (ROOT / "README.md").read_text()
    assert command in (DOCS / "index.md").read_text()


@pytest.mark.parametrize("name", list(generated_pages.PAGES))
def test_generated_page_is_up_to_date(name):
    if generated_pages.PAGES[name]() != (DOCS / name).read_text():
        pytest.fail("run: python tests/support/generated_pages.py")


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists()
