"""The commands that measure: `memvr eval` and `memvr calibrate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memvr_integrations.cli.console import leaving_at_once, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from memvr_integrations.backend import Backend
    from memvr_integrations.evaluate.benchmarks.benchmark import Benchmark
    from memvr_integrations.types.engine import Engine

_PUBLISHED = (
    "scenes (always there), pope, chair, mme, amber, hallusionbench, mmvp, vizwiz, mm-vet, "
    "llava-bench"
)
_Benchmark = Annotated[
    str, typer.Argument(help=f"{_PUBLISHED}; or self, for images without labels.")
]
_Evaluated = Annotated[str, typer.Argument(help=f"{_PUBLISHED}; or blindfold.")]
_STRATEGIES = "memvr,damping,shuffled"
_Folder = Annotated[
    Path | None, typer.Option(help="Where the benchmark's published files lie; none for scenes.")
]
_Model = Annotated[str, typer.Option("--model", "-m", help="Catalog name, directory or hub id.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ..., balanced or mps.")]
_Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"], typer.Option(help="Precision.")
]
_Batch = Annotated[int, typer.Option(min=1, help="Questions asked together.")]


def evaluate(
    benchmark: _Evaluated,
    out: Annotated[Path, typer.Option(help="A folder; an evaluation in it goes on.")],
    folder: _Folder = None,
    model: _Model = "bundled",
    strategies: Annotated[
        str,
        typer.Option(
            help="With commas, all compared with plain decoding: memvr, its controls damping and "
            "shuffled, vcd, icd, dola, contrastive, flb, opera, rudder; the controls yes-bias and "
            "vcd-plausibility (icd-, dola-, contrastive-); memvr+vcd is both."
        ),
    ] = _STRATEGIES,
    student: Annotated[str | None, typer.Option(help="The smaller model of 'contrastive'.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token.")] = 0.0,
    seed: Annotated[
        list[int] | None, typer.Option(help="May come several times; 0, 1 and 2 when sampling.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many images (groups).")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Ask again what failed before.")] = False,
    on: Annotated[
        str | None, typer.Option(help="With blindfold: the benchmark that it asks; else scenes.")
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="With blindfold: from which layers on, as 0,3,6; else three of them."),
    ] = None,
    batch: _Batch = 8,
    device: _Device = "auto",
    dtype: _Dtype = "auto",
) -> None:
    """Ask a benchmark in several ways, side by side; what was stopped goes on.

    `memvr eval blindfold` closes attention's eyes instead: from some layer on text can't attend to
    the images, and the table says how much of what that costs the second look restores.
    """
    with told():
        if benchmark == "blindfold":
            _refuse_beside_blindfold(strategies, student, temperature, seed, retry)
            _blindfold(on or "scenes", folder, out, layers, limit, (model, device, dtype, batch))
            return
        _refuse_without_blindfold(on, layers)
        with leaving_at_once():
            from memvr_integrations.evaluate.benchmarks.catalog import load_benchmark
            from memvr_integrations.evaluate.running import evaluation, ways
            from memvr_integrations.evaluate.running.runs import ANSWERS

            asked = load_benchmark(benchmark, folder)
            seeds = ways.seeds_for(seed or [], temperature)
            names = [name.strip() for name in strategies.split(",") if name.strip()]
            ways.check(names, student=student)
            backend = _load(model, device, dtype, batch)
        with backend:
            lines = evaluation.evaluate(
                backend,
                asked,
                ways.strategies(names, backend.preset, temperature=temperature, student=student),
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


def _refuse_beside_blindfold(
    strategies: str, student: str | None, temperature: float, seed: list[int] | None, retry: bool
) -> None:
    from memvr_integrations.errors import ConfigError

    given = {
        "--strategies": strategies != _STRATEGIES,
        "--student": student is not None,
        "--temperature": temperature != 0,
        "--seed": bool(seed),
        "--retry": retry,
    }
    if any(given.values()):
        option = next(name for name, there in given.items() if there)
        raise ConfigError(
            f"{option} doesn't go with blindfold, which compares ways of its own, greedily; leave "
            "it out."
        )


def _refuse_without_blindfold(on: str | None, layers: str | None) -> None:
    from memvr_integrations.errors import ConfigError

    for option, value in (("--on", on), ("--layers", layers)):
        if value is not None:
            raise ConfigError(f"{option} {value} goes with `memvr eval blindfold` alone.")


def _blindfold(
    benchmark: str,
    folder: Path | None,
    out: Path,
    layers: str | None,
    limit: int | None,
    model: "tuple[str, str, _Dtype, int]",
) -> None:
    with leaving_at_once():
        from memvr_integrations.backend import Backend, LoadConfig, QueueConfig
        from memvr_integrations.backend.hosting.loading import load_model
        from memvr_integrations.evaluate.benchmarks.catalog import load_benchmark
        from memvr_integrations.evaluate.running.blindfold import TABLE, Blindfold, default_layers

        asked = load_benchmark(benchmark, folder)
        chosen = _layers(layers)
        name, device, dtype, batch = model
        progress = sys.stderr.isatty()
        loaded = load_model(name, LoadConfig(device=device, dtype=dtype, progress=progress))
        backend = Backend(loaded, queueing=QueueConfig(max_batch=batch))
    with backend:
        measured = Blindfold(
            backend, loaded.model, asked, out, limit=limit, batch=batch, progress=progress
        )
        measured.measure(default_layers(backend.layers) if chosen is None else chosen)
    typer.echo((out / TABLE).read_text(encoding="utf-8"), nl=False)


def _layers(told: str | None) -> list[int] | None:
    from memvr_integrations.errors import ConfigError

    if told is None:
        return None
    parts = [part.strip() for part in told.split(",")]
    if not all(part.isdecimal() and len(part) < 5 for part in parts):
        raise ConfigError(f"--layers {told} must be numbers of layers with commas: 0,3,6.")
    return sorted({int(part) for part in parts})


def calibrate(
    benchmark: _Benchmark,
    out: Annotated[Path, typer.Option(help="A folder; a calibration in it goes on.")],
    folder: _Folder = None,
    things: Annotated[
        str, typer.Option(help="What 'self' asks about: nouns with commas between, or coco.")
    ] = "coco",
    model: _Model = "bundled",
    limit: Annotated[int, typer.Option(min=2, help="So many images (groups).")] = 100,
    minutes: Annotated[float, typer.Option(min=0, help="Time for choosing settings.")] = 30.0,
    batch: _Batch = 8,
    device: _Device = "auto",
    dtype: _Dtype = "auto",
) -> None:
    """Find MemVR's settings for a model, or that it is better off; writes a preset file."""
    with told():
        with leaving_at_once():
            from memvr_integrations.evaluate.running.calibration import Calibrating, candidates

            load = _loader(benchmark, folder, things, limit)
            backend = _load(model, device, dtype, batch)
        with backend:
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
        found.save(out / "preset.json", model=backend.name, benchmark=benchmark)
        settings = "off" if found.config is None else found.config
        typer.echo(f"{settings}: {found.reason}")
        typer.echo(f"{out / 'preset.json'} is what memvr= takes.", err=True)


def _loader(
    benchmark: str, folder: Path | None, things: str, limit: int
) -> "Callable[[Engine, Path, int], Benchmark]":
    """What makes the benchmark once there is a model; what is wrong without one is told now."""
    from memvr_integrations.errors import BenchmarkError
    from memvr_integrations.evaluate.benchmarks.catalog import load_benchmark
    from memvr_integrations.evaluate.running.self_labelled import SELF, Labelling, Things, images_in

    if benchmark != SELF:
        asked = load_benchmark(benchmark, folder)
        return lambda engine, out, batch: asked
    if folder is None:
        raise BenchmarkError(f"{SELF!r} labels the images of a folder; name one with --folder.")
    images, named = images_in(folder, limit), Things.of(things)
    return lambda engine, out, batch: Labelling(
        engine, images, named, out / "labels", batch=batch, progress=sys.stderr.isatty()
    ).benchmark()


def _load(model: str, device: str, dtype: _Dtype, batch: int) -> "Backend":
    from memvr_integrations.backend import Backend, QueueConfig

    return Backend.load(
        model,
        device=device,
        dtype=dtype,
        queueing=QueueConfig(max_batch=batch),
        progress=sys.stderr.isatty(),
    )
