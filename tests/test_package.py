"""The package as a whole: what it exports, how it is documented, what it must not hold."""

import importlib
import inspect
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import memvr_integrations
from memvr_integrations import errors

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "memvr_integrations"
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".jinja", ".cfg", ".txt", ""}


def raised_on_purpose():
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    return [kind for kind in kinds if kind.__module__ == errors.__name__]


def repository_files():
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", MODULES)
def test_every_all_is_sorted_and_true(name):
    source = PACKAGE.parent.joinpath(*name.split("."))
    text = (source / "__init__.py" if source.is_dir() else source.with_suffix(".py")).read_text()
    if "__all__" not in text:
        return
    module = importlib.import_module(name)
    # Constants, classes, the rest: the order that ruff keeps.
    kinds = sorted(module.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert module.__all__ == kinds
    assert all(hasattr(module, exported) for exported in module.__all__)


def test_every_error_is_a_memvr_error():
    warnings = [kind for kind in raised_on_purpose() if issubclass(kind, Warning)]
    assert warnings == [errors.MemVRWarning]
    others = [kind for kind in raised_on_purpose() if kind not in warnings]
    assert all(issubclass(kind, errors.MemVRError) for kind in others)


@pytest.mark.parametrize("kind", raised_on_purpose(), ids=lambda kind: kind.__name__)
def test_the_errors_page_says_what_to_do(kind):
    page = (ROOT / "docs" / "errors.md").read_text()
    row = f"| `{kind.__name__}` |"
    apart = kind in (errors.MemVRError, errors.MemVRWarning)
    assert row in page or (apart and f"`{kind.__name__}`" in page)


def test_settings_of_the_backend_are_read_without_a_model():
    code = (
        "import sys\n"
        "from memvr_integrations.backend import ImagePolicy, QueueConfig, Request, SamplingParams\n"
        "print(QueueConfig().max_batch, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["16", "False"]


@pytest.mark.parametrize(
    "name", ["cli", "errors", "types", "backend", "backend.serving.registry", "bundled"]
)
def test_nothing_heavy_is_imported_before_a_model_is(name):
    code = (
        f"import sys, memvr_integrations.{name}\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_a_lazy_door_knows_its_names_and_no_others():
    from memvr_integrations import backend
    from memvr_integrations.backend.serving.backend import Backend

    assert backend.Backend is Backend
    with pytest.raises(AttributeError, match=r"memvr_integrations\.backend.*'Backed'"):
        _ = backend.Backed


def test_the_logger_is_quiet_until_somebody_listens():
    handlers = logging.getLogger("memvr_integrations").handlers
    assert [type(one) for one in handlers] == [logging.NullHandler]


def test_no_page_or_message_installs_from_where_nothing_is():
    # In pieces, so that this file does not say it either.
    said = re.compile(r"pip install ['\"]?memvr" + "-integrations")
    found = [
        str(path.relative_to(ROOT))
        for path in repository_files()
        if path.suffix in TEXT_SUFFIXES and said.search(path.read_text(errors="replace"))
    ]
    assert not found


def test_the_changelog_knows_this_version():
    page = (ROOT / "docs" / "changelog.md").read_text()
    assert f"\n## {memvr_integrations.__version__}\n" in page
    assert "\n## Unreleased\n" in page


def test_the_package_says_that_it_is_typed_and_licensed():
    assert (PACKAGE / "py.typed").is_file()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_command_and_the_entry_point_start_where_pyproject_says():
    targets = re.findall(r'^memvr = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(targets) == 2
    for target in targets:
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_no_file_names_a_place_on_one_machine():
    # Written in pieces, so that this file does not name one either.
    places = re.compile("|".join(["/ro" + "ot/", "/ho" + r"me/\w", "/wo" + "rk/", "/Us" + "ers/"]))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in repository_files()
        if path.suffix in TEXT_SUFFIXES and path.name != "tokenizer.json"
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if places.search(line)
    ]
    assert not found


def test_the_shipped_model_is_small_enough():
    weights = PACKAGE / "bundled" / "weights"
    assert sum(path.stat().st_size for path in weights.iterdir()) <= 25_000_000
