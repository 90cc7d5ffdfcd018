"""Writes the parts of the documentation that follow from the code, and the charts of its tables.

Run it after a change to the command line, the catalog, a module or a recorded table:
python tests/support/generated_pages.py
"""

import ast
import functools
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from evidence_charts import CHARTS

from memvr_integrations.backend import CATALOG, CatalogRow
from memvr_integrations.cli import app

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "memvr_integrations"

_PUBLIC = ("memvr", "errors", "types", "backend", "explain", "bundled", "bundled.world")
_PUBLIC += (
    "grounding",
    "langchain",
    "llama_index",
    "evaluate",
    "evaluate.benchmarks.scene_questions",
    "models",
)

# What is public: these packages, and of them what `__all__` says. A page of the reference each.
DOORS = {name.replace(".", "-").replace("_", "-"): f"memvr_integrations.{name}" for name in _PUBLIC}

_API_OPTIONS = (
    "show_root_heading: false",
    "show_root_toc_entry: false",
    "heading_level: 2",
    "show_bases: true",
    "inherited_members: [as_retriever, as_query_engine, as_chat_engine]",  # of an index
)

_EXIT_CODES = """\
## Exit codes

| Code | Meaning |
|---|---|
| 0 | done |
| 1 | a `MemVRError`, shown in one line on stderr; [Errors](errors.md) says what to do |
| 2 | wrong usage |
| 130 | interrupted (Ctrl-C) |

The answer alone goes to stdout. "Loading ...", hints, the closing line and errors go to
stderr. `memvr --install-completion` lets the shell complete the names of models, benchmarks and
strategies.

## `--json`

One object: `answer`, `images` (their paths, of a page `report.pdf#page=3`), `model`, `memvr` and
`decoding` (the settings, or null), `usage`, `finish_reason`, `boxes` (in pixels, where the model
writes any, as Qwen-VL and the bundled one do), `tokens`, a record for each generated token with
`id`, `text`, `logprob`, `entropy`,
`trigger_layer`, `entropies` (by layer), `output_entropy` and `top` (as many of the likeliest as
`--top-logprobs` says), and `warnings`, the hints that went to stderr.
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


# As imports point, the lowest first.
_FLOORS = ("memvr", "types", "models", "bundled", "explain", "backend", "wire", "grounding")
_FLOORS += ("langchain", "llama_index", "evaluate", "doctor", "cli")


def module_map() -> str:
    """A table of all modules by folder, each with the first sentence of its docstring."""
    rows = ["| Module | What it holds |", "|---|---|"]
    rows += [_row(path) for path in sorted(PACKAGE.glob("*.py")) if path.name != "__init__.py"]
    for floor in _FLOORS:
        for folder in sorted({path.parent for path in (PACKAGE / floor).rglob("*.py")}):
            rows.append(
                f"| **{folder.relative_to(PACKAGE)}/** | {_subject(folder / '__init__.py')} |"
            )
            rows += [_row(path) for path in sorted(folder.glob("[!_]*.py"))]
    return "\n".join(rows)


def _row(path: Path) -> str:
    return f"| `{path.stem}` | {_subject(path)} |"


def _subject(path: Path) -> str:
    document = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=\.)\s", " ".join(document.split()))[0].rstrip(".")


def how_it_works() -> str:
    """The page with its module map brought up to date."""
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    head, start, rest = page.partition("<!-- modules -->\n")
    _, end, tail = rest.partition("<!-- /modules -->")
    return f"{head}{start}{module_map()}\n{end}{tail}"


def catalog() -> str:
    """Two tables of all models: what they are, and what they take."""
    rows = [
        "| Name | Checkpoint | Revision | Licence | Prompt | Trained for tools | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in CATALOG:
        tools = {None: "?", True: "yes", False: "no"}[row.trained_for_tools]
        checkpoint = "in the package" if row.name == "bundled" else f"`{row.checkpoint}`"
        revision = (
            f"`{row.revision[:8]}`" if row.revision else "-" if row.name == "bundled" else "?"
        )
        rows.append(
            f"| `{row.name}` | {checkpoint} | {revision} | {row.licence or 'see its card'} | "
            f"{row.prompt} | {tools} | {row.about} |"
        )
    rows += [
        "",
        "Memory is that of the weights alone, in GB; `~` marks counts of which a part was "
        "concluded from the family.",
        "",
        "| Name | Family | float32 | 16-bit | 8-bit | 4-bit | Tokens a picture | MemVR |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in CATALOG:
        sizes = [row.gigabytes(size) for size in (4, 2, 1, 0.5)]
        shown = ["?" if one is None else f"{'~' * row.estimated}{one:.3g}" for one in sizes]
        tokens = row.image_tokens or "varies"
        cells = [f"`{row.name}`", row.family, *shown, tokens, _settings(row)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _settings(row: CatalogRow) -> str:
    settings = row.settings
    if settings is None:
        return "LLaVA's window, moved to its depth; uncalibrated"
    window = f"layers {settings.starting_layer + 1} to {settings.ending_layer - 1}"
    if row.layers is not None:
        window += f" of {row.layers}"
    activation = f", {settings.activation}" if settings.activation else ""
    return (
        f"{window}, above {settings.entropy_threshold:g}, ratio {settings.retracing_ratio:g}"
        f"{activation}; {'calibrated' if row.calibrated else 'uncalibrated'}"
    )


def models_page() -> str:
    """The page about models with its tables brought up to date."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    head, start, rest = page.partition("<!-- catalog -->\n")
    _, end, tail = rest.partition("<!-- /catalog -->")
    return f"{head}{start}\n{catalog()}\n\n{end}{tail}"


def exported(door: str) -> list[str]:
    """The `__all__` of a door as it is written: an older langchain-core leaves a name out."""
    source = Path(importlib.import_module(door).__file__ or "").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    raise LookupError(f"{door} has no __all__")


def api_page(door: str) -> str:
    """What a package exports, in the order of its `__all__`; links for what is another's."""
    homes = list(DOORS.values())
    before = {
        name: home for home in reversed(homes[: homes.index(door)]) for name in exported(home)
    }
    names = exported(door)
    own = "\n".join(f"        - {name}" for name in names if name not in before)
    options = "\n".join(f"      {line}" for line in _API_OPTIONS)
    page = f"# {door}\n\n::: {door}\n    options:\n{options}\n      members:\n{own}\n"
    others = [f"- [`{name}`][{before[name]}.{name}]" for name in names if name in before]
    return page + ("\n## Also importable from here\n\n" + "\n".join(others) + "\n") * bool(others)


PAGES: dict[str, Callable[[], str]] = (
    {
        "cli.md": cli_page,
        "how-it-works.md": how_it_works,
        "models.md": models_page,
    }
    | {f"api/{page}.md": functools.partial(api_page, door) for page, door in DOORS.items()}
    | CHARTS
)

if __name__ == "__main__":
    (ROOT / "docs" / "api").mkdir(exist_ok=True)
    for name, make in PAGES.items():
        (ROOT / "docs" / name).write_text(make(), encoding="utf-8")
        print(f"wrote docs/{name}")
