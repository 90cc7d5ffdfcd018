"""The laboratory uses the package as anybody would: by documented names."""

import ast
import importlib
from pathlib import Path

import bundled_model
import generated_pages

FOLDER = Path(bundled_model.__file__).parent


def imports(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def test_what_is_imported_is_public():
    public = {
        (door, name)
        for door in generated_pages.DOORS.values()
        for name in importlib.import_module(door).__all__
    }
    used = {
        (module, name)
        for file in FOLDER.rglob("*.py")
        for module, name in imports(file)
        if module.partition(".")[0] == "memvr_integrations"
    }
    assert used
    assert not used - public
