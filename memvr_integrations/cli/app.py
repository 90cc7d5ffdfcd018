"""The `memvr` command: parses, calls, prints. What it prints about itself goes to stderr."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memvr_integrations import __version__
from memvr_integrations.cli.console import leaving_at_once, told
from memvr_integrations.cli.measuring import calibrate, evaluate

if TYPE_CHECKING:
    import PIL.Image

    from memvr_integrations.backend import Backend, Request
    from memvr_integrations.memvr import MemVRConfig
    from memvr_integrations.types import Completion
    from memvr_integrations.types.decoding import DecodingConfig

app = typer.Typer(
    name="memvr",
    help="Ask a local vision-language model about images; it looks twice where it is unsure.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_EXAMPLE = 'Example: memvr ask examples/images/farm.png "Is there a dog in the picture?"'


app.command("eval")(evaluate)
app.command()(calibrate)


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


@app.command(epilog=_EXAMPLE)
def ask(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE... QUESTION",
            help="One or more image files, then the question; '-' reads the question from stdin.",
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Catalog name, directory or hub id.")
    ] = "bundled",
    no_memvr: Annotated[bool, typer.Option("--no-memvr", help="Decode plainly.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    max_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 256,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable.")] = None,
    entropy_threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Look again above this entropy.")
    ] = None,
    retracing_ratio: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of visual evidence.")
    ] = None,
    starting_layer: Annotated[
        int | None, typer.Option(help="Layers after this one may trigger.")
    ] = None,
    ending_layer: Annotated[
        int | None, typer.Option(help="Layers before this one may trigger.")
    ] = None,
    decoding: Annotated[
        str | None,
        typer.Option(help="A strategy beside MemVR: its name, or JSON with name and settings."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Of the hub's checkpoint.")] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, ..., balanced or mps.")
    ] = "auto",
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"], typer.Option(help="Precision.")
    ] = "auto",
    quantization: Annotated[
        Literal["4bit", "8bit"] | None, typer.Option(help="Needs the extra 'quant'.")
    ] = None,
) -> None:
    """Ask a question about one or more images and stream the answer."""
    files, question = _split(arguments)
    settings = {
        "entropy_threshold": entropy_threshold,
        "retracing_ratio": retracing_ratio,
        "starting_layer": starting_layer,
        "ending_layer": ending_layer,
    }
    changes = {name: value for name, value in settings.items() if value is not None}
    if no_memvr and changes:
        raise typer.BadParameter(f"--no-memvr leaves nothing for {', '.join(changes)} to change.")
    with told():
        strategy = _strategy(decoding)
        with leaving_at_once():
            images = _load(files)  # before seconds go into loading a model
            from memvr_integrations.backend import Backend, Request, SamplingParams

            sampling = SamplingParams(max_tokens=max_tokens, temperature=temperature, seed=seed)
            interactive = sys.stderr.isatty()
            backend = Backend.load(
                model,
                device=device,
                dtype=dtype,
                quantization=quantization,
                revision=revision,
                memvr=not no_memvr,
                progress=interactive,
            )
        with backend:
            config = None if no_memvr else _changed(backend.preset, changes)
            request = Request.ask(
                question, *images, sampling=sampling, memvr=config, decoding=strategy
            )
            _answer(backend, request, as_json)


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
        typer.echo(f"{row.name:<22} {here:<5} {size:>9}  {licence:<38} {row.note}")


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(help="Catalog name, hub id, or the directory of a download.")
    ],
    target: Annotated[Path, typer.Argument(help="A new directory, to be given as --model then.")],
    revision: Annotated[str | None, typer.Option(help="Of the hub's checkpoint.")] = None,
) -> None:
    """Convert a published Qwen-VL-Chat or GLM-4V-9B, once; what was stopped goes on."""
    with told():
        with leaving_at_once():
            from memvr_integrations.backend.hosting.converting import convert_checkpoint
        convert_checkpoint(source, target, revision=revision, progress=sys.stderr.isatty())
    typer.echo(f"{target} is ready: memvr ask --model {target} IMAGE QUESTION")


def _strategy(text: str | None) -> "DecodingConfig | None":
    """What --decoding says: a name, or a JSON object."""
    from memvr_integrations.types.decoding import read_decoding

    if text is None or not text.lstrip().startswith("{"):
        return read_decoding(text)
    try:
        return read_decoding(json.loads(text))
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"--decoding is no JSON ({error}): {text}") from None


def _split(arguments: list[str]) -> tuple[list[Path], str]:
    if len(arguments) < 2:
        raise typer.BadParameter(
            f"got {arguments[0]!r} alone; give one or more images and then a question. {_EXAMPLE}"
        )
    *images, question = arguments
    if question == "-":
        with told():
            try:
                question = sys.stdin.read().strip()
            except UnicodeDecodeError as error:
                raise typer.BadParameter(f"stdin is not {error.encoding} text.") from None
    if not question:
        raise typer.BadParameter("the question is empty.")
    if _is_file(question):
        raise typer.BadParameter(f"{question!r} is a file; the question comes last. {_EXAMPLE}")
    return [Path(image) for image in images], question


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a long question is no possible file name
        return False


def _load(files: list[Path]) -> "list[PIL.Image.Image]":
    from memvr_integrations.backend.images import load_image

    return [load_image(file) for file in files]


def _answer(backend: "Backend", request: "Request", as_json: bool) -> None:
    """Print the answer while it comes, or as JSON when it is complete."""
    started, completion = time.monotonic(), None
    if request.strategy is not None and request.strategy.whole:
        [completion] = backend.generate(request)
        typer.echo("" if as_json else completion.text, nl=False)
    else:
        for chunk in backend.stream(request):
            completion = chunk.completion
            if not as_json:
                typer.echo(chunk.text, nl=False)
    assert completion is not None
    if as_json:
        typer.echo(json.dumps(_as_json(completion), ensure_ascii=False))
        return
    typer.echo()
    typer.echo(_summary(completion, time.monotonic() - started), err=True)


def _changed(preset: "MemVRConfig", changes: dict[str, int | float]) -> "MemVRConfig":
    from memvr_integrations.memvr import MemVRConfig

    return MemVRConfig.from_dict({**preset.to_dict(), **changes})


def _summary(completion: "Completion", seconds: float) -> str:
    tokens = len(completion.tokens)
    line = f"{tokens} tokens in {seconds:.1f} s ({tokens / max(seconds, 1e-9):.0f} a second)"
    if completion.decoding is not None:
        line += f" · decoded by {completion.decoding.name}"
    if completion.memvr is None:
        return f"[{line} · MemVR off]"
    triggers = [t.trigger_layer for t in completion.tokens if t.trigger_layer is not None]
    if not triggers:
        return f"[{line} · never looked again]"
    layers = ", ".join(f"{layer} ({triggers.count(layer)}x)" for layer in sorted(set(triggers)))
    return f"[{line} · looked again at {len(triggers)} tokens, triggered by layer {layers}]"


def _as_json(completion: "Completion") -> dict[str, object]:
    usage = completion.usage
    return {
        "answer": completion.text,
        "model": completion.model,
        "memvr": completion.memvr.to_dict() if completion.memvr else None,
        "decoding": completion.decoding.to_dict() if completion.decoding else None,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "image_tokens": usage.image_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        },
        "finish_reason": completion.finish_reason,
        "boxes": [asdict(box) for box in completion.boxes],
        "tokens": [
            {
                "id": token.id,
                "text": token.text,
                "logprob": token.logprob,
                "entropy": token.entropy,
                "output_entropy": token.output_entropy,
                "trigger_layer": token.trigger_layer,
            }
            for token in completion.tokens
        ],
    }
