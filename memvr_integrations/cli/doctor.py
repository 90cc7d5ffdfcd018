"""`memvr doctor`: what this machine and a model on it do, a line a finding."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from memvr_integrations import __version__
from memvr_integrations.cli.console import errors_shown, leaving_at_once, loaded
from memvr_integrations.cli.options import Device, Dtype, Quantization, Revision, models

if TYPE_CHECKING:
    from memvr_integrations.backend import Backend
    from memvr_integrations.doctor.finding import Finding


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Catalog name, directory or hub id; without one, the machine alone.",
            autocompletion=models,
        ),
    ] = None,
    no_memvr: Annotated[
        bool, typer.Option("--no-memvr", help="Also load what MemVR can't attach to.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for a bug report.")
    ] = False,
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
) -> None:
    """Prove that this machine, and a model on it, do what the tests prove."""

    def load() -> "Backend":
        assert model is not None
        return loaded(
            model,
            device=device,
            dtype=dtype,
            quantization=quantization,
            revision=revision,
            memvr=not no_memvr,
        )

    found = []
    with errors_shown() as hints:
        for finding in _findings(None if model is None else load):
            found.append(finding)
            typer.echo(_line(finding), err=as_json)
    counts = Counter(finding.outcome for finding in found)
    if as_json:
        from memvr_integrations.doctor.finding import shown

        report = {
            "memvr": __version__,
            "model": model and shown(model),
            "failed": counts["failed"],
            "checks": [asdict(finding) for finding in found],
            "warnings": [shown(hint) for hint in hints],
        }
        typer.echo(json.dumps(report, indent=2))
    else:
        typer.echo(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    raise typer.Exit(1 if counts["failed"] else 0)


def _findings(load: "Callable[[], Backend] | None") -> "Iterator[Finding]":
    with leaving_at_once():
        from memvr_integrations.doctor.environment import examine_environment

    yield from examine_environment()
    if load is not None:
        with leaving_at_once():
            from memvr_integrations.doctor.examination import examine
        yield from examine(load)


def _line(finding: "Finding") -> str:
    line = f"{finding.outcome:<15} {finding.check:<23} {finding.seconds:5.1f} s  {finding.says}"
    return line if finding.advice is None else f"{line}\n{'':<15} what to do: {finding.advice}"
