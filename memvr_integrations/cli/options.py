"""Options that several commands share, and the names that a shell completes them with."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer


def _begun(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def models(incomplete: str) -> list[str]:
    """The models of the catalog whose names begin so."""
    from memvr_integrations.backend.hosting.catalog import CATALOG

    return _begun(incomplete, (row.name for row in CATALOG))


def benchmarks(incomplete: str) -> list[str]:
    """The benchmarks whose names begin so."""
    from memvr_integrations.evaluate.benchmarks.catalog import NAMES

    return _begun(incomplete, NAMES)


def strategies(incomplete: str) -> list[str]:
    """The ways of decoding whose names begin so, after those that are complete."""
    from memvr_integrations.evaluate.running.ways import NAMES

    before, comma, begun = incomplete.rpartition(",")
    return [before + comma + name for name in _begun(begun, NAMES)]


def decodings(incomplete: str) -> list[str]:
    """The strategies beside MemVR whose names begin so."""
    from memvr_integrations.types.decoding import STRATEGIES

    return _begun(incomplete, STRATEGIES)


Model: TypeAlias = Annotated[
    str,
    typer.Option("--model", "-m", help="Catalog name, directory or hub id.", autocompletion=models),
]
Device: TypeAlias = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1, ..., balanced or mps.")
]
Dtype: TypeAlias = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"], typer.Option(help="Precision.")
]
Revision: TypeAlias = Annotated[str | None, typer.Option(help="Of the hub's checkpoint.")]
Quantization: TypeAlias = Annotated[
    Literal["4bit", "8bit"] | None, typer.Option(help="Needs bitsandbytes.")
]
Batch: TypeAlias = Annotated[int, typer.Option(min=1, help="Questions asked together.")]
Folder: TypeAlias = Annotated[
    Path | None, typer.Option(help="Where the benchmark's published files lie; none for scenes.")
]
Asked = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE... QUESTION",
        help="One or more image files or PDFs (report.pdf, report.pdf#page=3), then the question; "
        "'-' reads the question from stdin.",
    ),
]
Example = Annotated[
    bool, typer.Option("--example", help="Ask about the sample picture in the package.")
]
