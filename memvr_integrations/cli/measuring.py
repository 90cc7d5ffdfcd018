"""The commands that measure: `memvr eval`, `memvr calibrate` and `memvr blindfold`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memvr_integrations.cli.console import errors_shown, leaving_at_once, loaded
from memvr_integrations.cli.options import (
    Batch,
    Device,
    Dtype,
    Folder,
    Model,
    benchmarks,
    strategies,
)
from memvr_integrations.errors import BenchmarkError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from memvr_integrations.evaluate.benchmarks.benchmark import Benchmark
    from memvr_integrations.types.engine import Engine

_PUBLISHED = (
    "scenes (always there), pope, chair, mme, amber, hallusionbench, mmvp, vizwiz, mm-vet, "
    "llava-bench, or a .csv or .jsonl file of your own (columns image, question, answer)"
)
_EXPLAIN = "explain"
_Benchmark = Annotated[
    str,
    typer.Argument(
        help=f"{_PUBLISHED}; or {_EXPLAIN}, for explanations.", autocompletion=benchmarks
    ),
]
_Labelled = Annotated[
    str,
    typer.Argument(
        help=f"{_PUBLISHED}; or self, for images without labels.", autocompletion=benchmarks
    ),
]
_Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many images (groups).")]


def evaluate(
    benchmark: _Benchmark,
    out: Annotated[Path, typer.Option(help="A folder; an evaluation in it goes on.")],
    folder: Folder = None,
    model: Model = "bundled",
    ways: Annotated[
        str,
        typer.Option(
            "--strategies",
            autocompletion=strategies,
            help="With commas, all compared with plain decoding: memvr, its controls damping and "
            "shuffled, vcd, icd, dola, contrastive, flb, opera, rudder; the controls yes-bias and "
            "vcd-plausibility (icd-, dola-, contrastive-, flb-); memvr+vcd is both.",
        ),
    ] = "memvr,damping,shuffled",
    student: Annotated[str | None, typer.Option(help="The smaller model of 'contrastive'.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token.")] = 0.0,
    seed: Annotated[
        list[int] | None, typer.Option(help="May come several times; 0, 1 and 2 when sampling.")
    ] = None,
    limit: _Limit = None,
    retry: Annotated[bool, typer.Option("--retry", help="Ask again what failed before.")] = False,
    batch: Batch = 8,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Ask a benchmark in several ways, side by side; what was stopped goes on.

    `explain` isn't asked but explained: whether maps point at what they should, by method.
    """
    if benchmark == _EXPLAIN:
        _explained(model, out, limit, (seed or [0])[0], device=device, dtype=dtype)
        return
    with errors_shown():
        with leaving_at_once():
            from memvr_integrations.evaluate.running import ways as known

            seeds = known.seeds_for(seed or [], temperature)
            names = [name.strip() for name in ways.split(",") if name.strip()]
            known.check(names, student=student)
            asked = _read(benchmark, folder)
        with loaded(model, device=device, dtype=dtype, batch=batch) as backend:
            from memvr_integrations.evaluate.running import evaluation
            from memvr_integrations.evaluate.running.runs import ANSWERS

            lines = evaluation.evaluate(
                backend,
                asked,
                known.strategies(names, backend.preset, temperature=temperature, student=student),
                out,
                seeds=seeds,
                limit=limit,
                batch=batch,
                retry=retry,
                progress=sys.stderr.isatty(),
            )
        typer.echo((out / evaluation.TABLE).read_text(encoding="utf-8"), nl=False)
        failed = sum(line.failed for line in lines)
        if failed:
            why = f"{out / ANSWERS} says why; --retry asks them again"
            typer.echo(f"hint: {failed} questions failed; {why}.", err=True)
        typer.echo(f"{out / evaluation.PAGE} has the same for a browser.", err=True)


def _explained(
    model: str, out: Path, limit: int | None, seed: int, *, device: str, dtype: "Dtype"
) -> None:
    with errors_shown():
        typer.echo(f"Loading {model} ...", err=True)
        with leaving_at_once():
            from memvr_integrations.evaluate.faithfulness.command import (
                QUESTIONS,
                TABLE,
                explained_scenes,
            )

        questions = limit or QUESTIONS
        with typer.progressbar(
            length=questions, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            table = explained_scenes(
                model,
                out,
                questions=questions,
                seed=seed,
                device=device,
                dtype=dtype,
                progress=lambda done: bar.update(done - bar.pos),
            )
        typer.echo(table, nl=False)
        typer.echo(f"{out / TABLE} has the same.", err=True)


def blindfold(
    out: Annotated[Path, typer.Option(help="A folder; a measurement in it goes on.")],
    benchmark: _Benchmark = "scenes",
    folder: Folder = None,
    model: Model = "bundled",
    layers: Annotated[
        str | None, typer.Option(help="From which layers on, as 0,3,6; else three of them.")
    ] = None,
    limit: _Limit = None,
    batch: Batch = 8,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Close attention's eyes and see how much retracing restores; what was stopped goes on.

    From some layer on text can't attend to the images; the table says what that costs, and how
    much of it each way of decoding restores.
    """
    with errors_shown():
        chosen = _layers(layers)
        with leaving_at_once():
            asked = _read(benchmark, folder)
        with loaded(model, device=device, dtype=dtype, batch=batch) as backend:
            from memvr_integrations.evaluate.running.blindfold import (
                TABLE,
                Blindfold,
                default_layers,
            )

            measured = Blindfold(
                backend, asked, out, limit=limit, batch=batch, progress=sys.stderr.isatty()
            )
            measured.measure(default_layers(backend.layers) if chosen is None else chosen)
        typer.echo((out / TABLE).read_text(encoding="utf-8"), nl=False)


def _layers(given: str | None) -> list[int] | None:
    if given is None:
        return None
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() and len(part) < 5 for part in parts):
        raise ConfigError(f"--layers {given} must be numbers of layers with commas: 0,3,6.")
    return sorted({int(part) for part in parts})


def calibrate(
    benchmark: _Labelled,
    out: Annotated[Path, typer.Option(help="A folder; a calibration in it goes on.")],
    folder: Folder = None,
    things: Annotated[
        str, typer.Option(help="What 'self' asks about: nouns with commas between, or coco.")
    ] = "coco",
    model: Model = "bundled",
    limit: Annotated[int, typer.Option(min=2, help="So many images (groups).")] = 100,
    minutes: Annotated[float, typer.Option(min=0, help="Time for choosing settings.")] = 30.0,
    batch: Batch = 8,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Find MemVR's settings for a model, or that it is better off; writes a preset file."""
    with errors_shown():
        with leaving_at_once():
            load = _loader(benchmark, folder, things, limit)
        with loaded(model, device=device, dtype=dtype, batch=batch) as backend:
            from memvr_integrations.evaluate.running.calibration import Calibrating, candidates

            asked = load(backend, out, batch)
            calibrating = Calibrating(
                backend,
                asked,
                list(candidates(backend.layers, backend.preset)),
                out,
                limit=limit,
                minutes=minutes,
                batch=batch,
                progress=sys.stderr.isatty(),
            )
            found = calibrating.find()
        found.save(out / "preset.json", model=backend.name, benchmark=asked.name)
        settings = "off" if found.config is None else found.config
        typer.echo(f"{settings}: {found.reason}")
        typer.echo(f"{out / 'preset.json'} is what memvr= takes.", err=True)


def _read(benchmark: str, folder: Path | None) -> "Benchmark":
    """A benchmark, or a file of one's own; what was made of that is said on stderr."""
    from memvr_integrations.evaluate.benchmarks.benchmark import FromFile
    from memvr_integrations.evaluate.benchmarks.catalog import load_benchmark

    asked = load_benchmark(benchmark, folder)
    if isinstance(asked, FromFile):
        typer.echo(asked.about, err=True)
    return asked


def _loader(
    benchmark: str, folder: Path | None, things: str, limit: int
) -> "Callable[[Engine, Path, int], Benchmark]":
    """What makes the benchmark once there is a model; what is wrong without one is refused now."""
    from memvr_integrations.evaluate.benchmarks.catalog import SELF

    if benchmark != SELF:
        asked = _read(benchmark, folder)
        return lambda engine, out, batch: asked
    if folder is None:
        raise BenchmarkError(f"{SELF!r} labels the images of a folder; name one with --folder.")
    from memvr_integrations.evaluate.running.self_labelled import Labelling, Things, images_in

    images, named = images_in(folder, limit), Things.of(things)
    return lambda engine, out, batch: Labelling(
        engine, images, named, out / "labels", batch=batch, progress=sys.stderr.isatty()
    ).benchmark()
