"""The `memvr` command: parses, calls, prints. What it prints about itself goes to stderr."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from memvr_integrations import __version__
from memvr_integrations.cli.ask import EXAMPLE, ask
from memvr_integrations.cli.console import errors_shown, leaving_at_once
from memvr_integrations.cli.doctor import doctor
from memvr_integrations.cli.explain import explain
from memvr_integrations.cli.measuring import blindfold, calibrate, evaluate
from memvr_integrations.cli.options import Revision

app = typer.Typer(
    name="memvr",
    help="Ask a local vision-language model about images; it looks twice where it is unsure.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=EXAMPLE)(ask)
app.command()(explain)
app.command()(doctor)
app.command("eval")(evaluate)
app.command()(calibrate)
app.command()(blindfold)


def main() -> None:
    """Run the command line."""
    app()


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(f"memvr {__version__}")
        raise typer.Exit


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List the catalog: names, sizes, licences, and what lies on this machine."""
    with leaving_at_once():
        from memvr_integrations.backend.hosting.catalog import CATALOG

    if as_json:
        typer.echo(json.dumps([row.to_dict() for row in CATALOG], indent=2))
        return
    typer.echo(f"{'name':<22} {'here':<5} {'bf16':>9}  {'licence':<38} what it is")
    for row in CATALOG:
        weights = row.gigabytes()
        size = "?" if weights is None else f"{'~' * row.estimated}{weights:.2f} GB"
        here = "yes" if row.downloaded else "no"
        licence = row.licence or "see its card"
        typer.echo(f"{row.name:<22} {here:<5} {size:>9}  {licence:<38} {row.about}")


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(help="Catalog name, hub id, or the directory of a download.")
    ],
    target: Annotated[Path, typer.Argument(help="A new directory, to be given as --model then.")],
    revision: Revision = None,
) -> None:
    """Convert a published Qwen-VL-Chat or GLM-4V-9B, once; what was stopped goes on."""
    with errors_shown():
        with leaving_at_once():
            from memvr_integrations.backend.hosting.converting import convert_checkpoint
        convert_checkpoint(source, target, revision=revision, progress=sys.stderr.isatty())
    typer.echo(f"{target} is ready: memvr ask --model {target} IMAGE QUESTION")
