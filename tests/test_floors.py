"""The lowest releases that pyproject.toml allows are those that the tests run with."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
EXTRAS = ("langchain", "llama-index", "pdf", "quant")


def floors():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in EXTRAS:
        lines += project["optional-dependencies"][extra]
    for line in map(Requirement, lines):
        lowest = [Version(one.version) for one in line.specifier if one.operator == ">="]
        assert len(lowest) == 1, f"{line.name} has no floor"
        yield line.name, lowest[0]


def test_the_constraints_are_the_floors():
    text = (ROOT / "tests" / "floors.txt").read_text()
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))
    assert {name: Version(pin) for name, pin in pins.items()} == dict(floors())


def test_the_checks_install_every_extra_that_has_floors():
    script = (ROOT / ".ci" / "run").read_text()
    assert f'-c tests/floors.txt -e ".[{",".join(EXTRAS)}]"' in script
