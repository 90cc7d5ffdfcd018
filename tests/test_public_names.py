"""What is public: each package's `__all__`, described, and all that examples need."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import generated_pages
import pytest

ROOT = Path(__file__).parents[1]
DOORS = generated_pages.DOORS
_FENCE = re.compile(r"^```[^\n]*python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_that_users_read():
    """Every example, and every Python block of the documentation; name and text."""
    for path in sorted((ROOT / "examples").glob("*.py")):
        yield path.name, path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, match in enumerate(_FENCE.finditer(path.read_text()), 1):
            yield f"{path.name} {number}", match[1]


def imported(text):
    """The modules of ours that a text imports from, with the names."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "memvr_integrations"
        ):
            yield from ((node.module, name.name) for name in node.names)
        elif isinstance(node, ast.Import):
            yield from ((name.name, None) for name in node.names if "memvr_int" in name.name)


def described_constants(module):
    """The module-level names with a text under them, in a module and those that it imports from."""
    found = set()
    source = ast.parse(inspect.getsource(module))
    for node in ast.walk(source):
        inside = isinstance(node, ast.ImportFrom) and node.module != module.__name__
        if inside and (node.module or "").startswith(module.__name__):
            found |= described_constants(importlib.import_module(node.module))
    for before, after in zip(source.body, source.body[1:], strict=False):
        text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if text and isinstance(before, ast.Assign | ast.AnnAssign):
            targets = before.targets if isinstance(before, ast.Assign) else [before.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("door", DOORS.values())
def test_every_public_name_and_its_public_members_are_described(door):
    module = importlib.import_module(door)
    constants = described_constants(module)
    silent = []
    for name in module.__all__:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            silent += [] if name in constants else [name]
            continue
        # A dataclass without one gets its signature as a docstring.
        if not value.__doc__ or value.__doc__.startswith(f"{name}("):
            silent.append(name)
        silent += [
            f"{name}.{member}"
            for member, made in (vars(value).items() if inspect.isclass(value) else ())
            if not member.startswith("_")
            and isinstance(made, property | classmethod | staticmethod | type(imported))
            and not inspect.getdoc(made if not isinstance(made, staticmethod) else made.__func__)
            and not any(getattr(base, member, None) for base in value.__mro__[1:])
        ]
    assert not silent


@pytest.mark.parametrize("door", DOORS.values())
def test_a_module_does_not_hide_behind_a_name_of_its_package(door):
    module = importlib.import_module(door)
    folder = Path(inspect.getfile(module)).parent
    inside = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not (
        set(module.__all__) & inside if Path(inspect.getfile(module)).stem == "__init__" else ()
    )


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name) for name, text in python_that_users_read()]
)
def test_examples_import_public_names_only(text):
    public = {(door, name) for door in DOORS.values() for name in generated_pages.exported(door)}
    assert not set(imported(text)) - public
