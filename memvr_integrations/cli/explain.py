"""`memvr explain`: a question about pictures, and where in them the answer came from."""

import json
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memvr_integrations.cli.ask import check_files, check_number, split
from memvr_integrations.cli.console import errors_shown, loaded
from memvr_integrations.cli.options import (
    Asked,
    Device,
    Dtype,
    Example,
    Model,
    Quantization,
    Revision,
)
from memvr_integrations.cli.pages import fitting, with_pages

if TYPE_CHECKING:
    from memvr_integrations.explain import Explanation

_Method = Literal["attention_gradient", "occlusion", "logit_lens", "route", "retracing"]


def explain(
    arguments: Asked = None,
    example: Example = False,
    model: Model = "bundled",
    page: Annotated[
        Path | None, typer.Option("--html", help="Write a page that needs no network.")
    ] = None,
    opened: Annotated[bool, typer.Option("--open", help="Open that page in the browser.")] = False,
    png: Annotated[
        Path | None, typer.Option(help="Write the first picture with its map over it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    method: Annotated[
        _Method | None,
        typer.Option(help="How maps are made; attention_gradient where that can be had."),
    ] = None,
    second: Annotated[
        bool,
        typer.Option(
            help="Make another method's maps as well, and say how far they agree; it takes longer."
        ),
    ] = True,
    tokens: Annotated[
        str | None,
        typer.Option(help="Which of the answer's tokens, from 0, with commas; content words."),
    ] = None,
    no_memvr: Annotated[bool, typer.Option("--no-memvr", help="Decode plainly.")] = False,
    max_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 64,
    revision: Revision = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
) -> None:
    """Answer a question about images, and show where in them each word came from."""
    files, question = split(arguments or [], example)
    if opened and page is None:
        raise typer.BadParameter("--open opens a page; say where to write it with --html.")
    places = _places(tokens)
    with errors_shown():
        check_files(files)  # before seconds go into importing and loading
        from memvr_integrations.explain import ExplainConfig
        from memvr_integrations.types import Request, SamplingParams

        pictures = with_pages(files)
        config = ExplainConfig(method=method, second=second, tokens=places)
        backend = loaded(
            model,
            device=device,
            dtype=dtype,
            quantization=quantization,
            revision=revision,
            memvr=not no_memvr,
        )
        with backend, _progress() as progress:

            def asking(shown: Sequence[Path]) -> Request:
                sampling = SamplingParams(max_tokens=max_tokens)
                return Request.ask(question, *shown, sampling=sampling, memvr=not no_memvr)

            shown = fitting(backend, model, files, pictures, asking)
            check_number(model, len(shown))
            request = asking(shown)
            explanation = backend.explain(request, config=config, progress=progress)
        _show(explanation, page, png, as_json=as_json)
    if page is not None and opened:
        webbrowser.open(page.resolve().as_uri())


def _show(
    explanation: "Explanation", page: Path | None, png: Path | None, *, as_json: bool
) -> None:
    for file in (page, png):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
    if page is not None:
        page.write_text(explanation.to_html(), encoding="utf-8")
        typer.echo(f"{page} shows it in a browser.", err=True)
    if png is not None:
        explanation.save_png(png)
        typer.echo(f"{png} is the first picture with its map.", err=True)
    if as_json:
        typer.echo(json.dumps(explanation.to_dict(), ensure_ascii=False))
    else:
        typer.echo(explanation.answer)
        typer.echo()
        typer.echo(explanation.to_terminal(colour=sys.stdout.isatty()), nl=False)


def _places(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--tokens takes numbers with commas, as 0,2,3, and not {text!r}."
        ) from None


@contextmanager
def _progress() -> Iterator[Callable[[float], None] | None]:
    """A bar on stderr, where somebody sees it."""
    if not sys.stderr.isatty():
        yield None
        return
    with typer.progressbar(length=100, label="Explaining", file=sys.stderr) as bar:

        def report(share: float) -> None:
            bar.update(round(100 * share) - bar.pos)

        yield report
