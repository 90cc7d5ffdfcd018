"""Writes the parts of the documentation that follow from the code.

Run it after a change to the command line or to a module: python tests/generated_pages.py
"""

import ast
import re
from pathlib import Path
from typing import Any

import typer

from memvr_integrations.cli import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "memvr_integrations"

_EXIT_CODES = """\
## Exit codes

| Code | Meaning |
|---|---|
| 0 | done |
| 1 | a `MemVRError`, told in one line on stderr; [Errors](errors.md) says what to do |
| 2 | wrong usage |
| 130 | interrupted (Ctrl-C) |

The answer alone goes to stdout. Hints, the closing line and errors go to stderr.

## `--json`

One object: `answer`, `model`, `memvr` (the settings, or null), `usage`, `finish_reason`, `boxes`
(in pixels, where the model writes any, as Qwen-VL does) and `tokens`, a record for each generated
token with `id`, `text`, `logprob`, `entropy` and `trigger_layer`.
"""


def cli_page() -> str:
    """The whole page about the command line."""
    root: Any = typer.main.get_command(app)
    parts = ["# Command line\n"]
    for title, command in [("memvr", root), *((f"memvr {n}", c) for n, c in root.commands.items())]:
        parts.append(f"## {title}\n\n```text\n{_help(title, command)}\n```\n")
    return "\n".join([*parts, _EXIT_CODES])


def _help(title: str, command: Any) -> str:
    # The plain form: the boxes of the other one depend on the terminal.
    command.rich_markup_mode = None
    context = command.make_context(title, [], resilient_parsing=True, terminal_width=90)
    lines = command.get_help(context).strip().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def module_map() -> str:
    """A table of all modules, each with the first sentence of its docstring."""
    rows = ["| Module | What it does |", "|---|---|"]
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: (len(path.parts), path)):
        document = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first = re.split(r"(?<=\.)\s", " ".join(document.split()))[0].rstrip(".")
        if path.name != "__init__.py":
            rows.append(f"| `{path.relative_to(PACKAGE).as_posix()}` | {first} |")
    return "\n".join(rows)


def how_it_works() -> str:
    """The page with its module map brought up to date."""
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    head, start, rest = page.partition("<!-- modules -->\n")
    _, end, tail = rest.partition("<!-- /modules -->")
    return f"{head}{start}{module_map()}\n{end}{tail}"


PAGES = {"cli.md": cli_page, "how-it-works.md": how_it_works}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (ROOT / "docs" / name).write_text(make(), encoding="utf-8")
        print(f"wrote docs/{name}")
