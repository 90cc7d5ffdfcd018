"""The laboratory uses the package as anybody would: by documented names."""

import ast
from pathlib import Path

import bundled_model

FOLDER = Path(bundled_model.__file__).parent
DOORS = {
    "memvr_integrations.backend",
    "memvr_integrations.backend.hosting.loading",  # a blindfold goes on the module itself
    "memvr_integrations.bundled",
    "memvr_integrations.bundled.world",
    "memvr_integrations.errors",
    "memvr_integrations.evaluate.benchmarks.scene_questions",
    "memvr_integrations.evaluate.running.statistics",
    "memvr_integrations.memvr",
}


def imports(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def test_what_is_imported_comes_through_doors_and_is_public():
    used = {
        (module, name)
        for file in FOLDER.rglob("*.py")
        for module, name in imports(file)
        if module.partition(".")[0] == "memvr_integrations"
    }
    assert {module for module, _ in used} == DOORS
    assert not [name for _, name in used if name.startswith("_")]
