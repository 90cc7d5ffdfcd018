"""`memvr ask`: a question about pictures, answered while it is computed."""

import json
import os
import re
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from memvr_integrations.cli.console import errors_shown, loaded
from memvr_integrations.cli.options import (
    Asked,
    Device,
    Dtype,
    Example,
    Model,
    Quantization,
    Revision,
    decodings,
)
from memvr_integrations.cli.pages import fitting, with_pages
from memvr_integrations.errors import ImageError, MemVRWarning

if TYPE_CHECKING:
    from memvr_integrations.backend import Backend
    from memvr_integrations.grounding import Abstaining
    from memvr_integrations.grounding.abstaining import KnownRule
    from memvr_integrations.types import Completion, DecodingConfig, Request

EXAMPLE = 'Example: memvr ask --example "Is there a dog in the picture?"'
_PAGE = re.compile(r"(.+\.pdf)#page=\d+", re.IGNORECASE)
_QUESTION = "What is in the picture?"


def ask(
    arguments: Asked = None,
    example: Example = False,
    model: Model = "bundled",
    no_memvr: Annotated[bool, typer.Option("--no-memvr", help="Decode plainly.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    max_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 256,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable.")] = None,
    top_logprobs: Annotated[
        int, typer.Option(min=0, max=20, help="Likeliest tokens to show at each, with --json.")
    ] = 0,
    entropy_threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="An inner layer triggers above this entropy.")
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
        typer.Option(
            help="A strategy beside MemVR: its name, or JSON with name and settings.",
            autocompletion=decodings,
        ),
    ] = None,
    abstain: Annotated[
        str | None,
        typer.Option(
            metavar="measured|NUMBER",
            help="Withhold what the model is too unsure of: above the threshold that was measured "
            "on it, or above a number from 0 to 1.",
        ),
    ] = None,
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
) -> None:
    """Ask a question about one or more images and stream the answer."""
    files, question = split(arguments or [], example)
    settings = {
        "entropy_threshold": entropy_threshold,
        "retracing_ratio": retracing_ratio,
        "starting_layer": starting_layer,
        "ending_layer": ending_layer,
    }
    changes = {name: value for name, value in settings.items() if value is not None}
    if no_memvr and changes:
        raise typer.BadParameter(f"--no-memvr leaves nothing for {', '.join(changes)} to change.")
    if top_logprobs and not as_json:
        raise typer.BadParameter("--top-logprobs shows in JSON alone; add --json.")
    with errors_shown() as hints:
        check_files(files)  # before seconds go into importing and loading
        from memvr_integrations.types import Request, SamplingParams

        strategy, careful = _strategy(decoding), _abstaining(abstain)
        sampling = SamplingParams(
            max_tokens=max_tokens, temperature=temperature, seed=seed, top_logprobs=top_logprobs
        )
        from memvr_integrations.backend.images import load_image

        pictures = with_pages(files)
        read = {file: load_image(file) for file in map(Path, files) if file in pictures}
        backend = loaded(
            model,
            device=device,
            dtype=dtype,
            quantization=quantization,
            revision=revision,
            memvr=not no_memvr,
        )
        with backend:
            config = None if no_memvr else backend.preset.changed(changes)

            def asking(shown: Sequence[Path]) -> Request:
                images = [read.get(one, one) for one in shown]
                return Request.ask(
                    question, *images, sampling=sampling, memvr=config, decoding=strategy
                )

            shown = fitting(backend, model, files, pictures, asking)
            check_number(model, len(shown))
            rule = None if careful is None else careful.known(model, backend.abstention)
            _answer(backend, asking(shown), rule, shown, hints if as_json else None)


def _abstaining(text: str | None) -> "Abstaining | None":
    """What --abstain says: "measured", or a threshold."""
    from memvr_integrations.grounding import Abstaining

    if text is None:
        return None
    if text == "measured":
        return Abstaining()
    try:
        return Abstaining(threshold=float(text))
    except ValueError:
        raise typer.BadParameter(
            f"--abstain {text!r} is neither 'measured' nor a number from 0 to 1."
        ) from None


def _strategy(text: str | None) -> "DecodingConfig | None":
    """What --decoding says: a name, or a JSON object."""
    from memvr_integrations.types.decoding import read_decoding

    if text is None or not text.lstrip().startswith("{"):
        return read_decoding(text)
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"--decoding is no JSON ({error}): {text[:200]}") from None
    return read_decoding(settings)


def split(arguments: list[str], example: bool) -> tuple[list[str], str]:
    """The image files and the question among what was typed."""
    if example:
        if len(arguments) > 1:
            raise typer.BadParameter("--example brings the picture; give a question alone.")
        from memvr_integrations import bundled

        arguments = [str(bundled.EXAMPLE), *(arguments or [_QUESTION])]
    if len(arguments) < 2:
        got = f"got {arguments[0]!r} alone; " if arguments else ""
        raise typer.BadParameter(f"{got}give one or more images and then a question. {EXAMPLE}")
    *images, question = arguments
    if question == "-":
        with errors_shown():
            try:
                question = sys.stdin.read().strip()
            except UnicodeDecodeError as error:
                raise typer.BadParameter(f"stdin is not {error.encoding} text.") from None
    if not question:
        raise typer.BadParameter("the question is empty.")
    if os.path.isfile(question):
        raise typer.BadParameter(f"{question!r} is a file; the question comes last. {EXAMPLE}")
    return images, question


def check_files(files: list[str]) -> None:
    """Refuse what is no file; of a URL, say how its picture gets in."""
    for file in files:
        page = _PAGE.fullmatch(file)
        if os.path.exists(file) or (page and os.path.exists(page[1])):
            continue
        if re.match(r"(https?|file|data):|[a-z][a-z0-9+.-]*://", file, re.IGNORECASE):
            raise _no_file(file)
        raise ImageError(f"file {file!r} is not there; check the path.")


def _no_file(url: str) -> ImageError:
    from memvr_integrations.backend.images.fetch import shown_url

    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2].lower()
    except ValueError as problem:  # brackets that don't close
        return ImageError(f"{shown_url(url)} is not a URL: {problem}")
    way = "save the picture as a file and give its path"
    if parts.scheme == "file":
        way = f"give the path alone: {unquote(parts.path)}"
    elif parts.scheme in ("http", "https"):
        http = ", allow_http=True" if parts.scheme == "http" else ""
        way += (
            ", or put the URL into a message in Python, with its host allowed: "
            f"image_policy=ImagePolicy(allowed_hosts=[{host!r}]{http})"
        )
    return ImageError(f"{shown_url(url)} is a URL, and this command reads files: {way}.")


def check_number(model: str, pictures: int) -> None:
    """Warn of more pictures than a model of the catalog reads."""
    from memvr_integrations.backend.hosting.catalog import find

    row = find(model)
    most = row.pictures if row is not None else None
    if most is not None and pictures > most:
        warnings.warn(
            f"{pictures} pictures were given, and {model} reads {most} at once at most: don't "
            "trust the answer. Ask about fewer at once, or take a model of several images, such "
            "as 'qwen2.5-vl-3b'.",
            MemVRWarning,
            stacklevel=2,
        )


def _answer(
    backend: "Backend",
    request: "Request",
    rule: "KnownRule | None",
    shown: Sequence[Path],
    hints: list[str] | None,
) -> None:
    """Print the answer while it comes; with a list of hints as JSON, when it is complete."""
    from memvr_integrations.grounding.withholding import given, held

    def again(stronger: "Request") -> "Completion":
        return backend.generate(stronger)[0]

    started, completion = time.monotonic(), None
    if request.strategy is not None and request.strategy.whole:
        [completion] = backend.generate(request)
        completion = completion if rule is None else given(rule, request, completion, again)
        typer.echo(completion.text if hints is None else "", nl=False)
    else:
        chunks = backend.stream(request)
        for chunk in chunks if rule is None else held(rule, request, chunks, again):
            completion = chunk.completion
            if hints is None:
                typer.echo(chunk.text, nl=False)
    assert completion is not None
    if hints is not None:
        typer.echo(json.dumps(_as_json(completion, shown, hints), ensure_ascii=False))
        return
    typer.echo()
    if completion.checks.get("abstained"):
        unsure, most = completion.checks["unsureness"], completion.checks["threshold"]
        said = completion.checks["withheld"]
        typer.echo(f"[withheld, for {unsure:.2f} is above {most:.2f}: {said}]", err=True)
    typer.echo(_summary(completion, time.monotonic() - started), err=True)


def _summary(completion: "Completion", seconds: float) -> str:
    tokens = len(completion.tokens)
    line = f"{tokens} tokens in {seconds:.1f} s ({tokens / max(seconds, 1e-9):.0f} a second)"
    if completion.decoding is not None:
        line += f" · decoded by {completion.decoding.name}"
    if completion.memvr is None:
        return f"[{line} · MemVR off]"
    triggers = [t.trigger_layer for t in completion.tokens if t.trigger_layer is not None]
    if not triggers:
        return f"[{line} · never retraced]"
    layers = ", ".join(f"{layer} ({triggers.count(layer)}x)" for layer in sorted(set(triggers)))
    return f"[{line} · retraced at {len(triggers)} tokens, triggered by layer {layers}]"


def _as_json(
    completion: "Completion", shown: Sequence[Path], hints: list[str]
) -> dict[str, object]:
    return {
        "answer": completion.text,
        "images": [str(picture) for picture in shown],
        "model": completion.model,
        "memvr": completion.memvr.to_dict() if completion.memvr else None,
        "decoding": completion.decoding.to_dict() if completion.decoding else None,
        "usage": asdict(completion.usage) | {"total_tokens": completion.usage.total_tokens},
        "finish_reason": completion.finish_reason,
        "boxes": [asdict(box) for box in completion.boxes],
        "tokens": [asdict(token) for token in completion.tokens],
        **({"checks": dict(completion.checks)} if completion.checks else {}),
        "warnings": hints,
    }
