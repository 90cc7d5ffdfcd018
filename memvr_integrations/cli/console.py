"""How the commands show failures, warnings, waits and interruptions: a line each, on stderr."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from memvr_integrations.errors import MemVRError, MemVRWarning

if TYPE_CHECKING:
    from memvr_integrations.backend import Backend
    from memvr_integrations.cli.options import Dtype, Quantization

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@contextmanager
def errors_shown() -> Iterator[list[str]]:
    """Show failures and warnings of ours in one line each; gives all warnings, as they come.

    What comes again in the same words is shown once: of a thousand pictures many may call for it.
    """
    hints: list[str] = []
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: object) -> None:
            if str(message) in hints:
                return
            hints.append(str(message))
            if issubclass(category, MemVRWarning):
                typer.echo(f"hint: {message}", err=True)
            else:
                others(message, category, *where)  # type: ignore[arg-type]

        warnings.showwarning = show  # type: ignore[assignment]
        warnings.simplefilter("always", MemVRWarning)
        try:
            yield hints
        except KeyboardInterrupt:
            typer.echo("\ninterrupted", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except MemVRError as error:
            typer.echo(f"memvr: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(1) from None


def loaded(
    model: str,
    *,
    device: str,
    dtype: "Dtype",
    quantization: "Quantization" = None,
    revision: str | None = None,
    memvr: bool = True,
    batch: int | None = None,
) -> "Backend":
    """Load a model, and say on stderr that this wait begins; Ctrl-C ends it at once."""
    typer.echo(f"Loading {model} ...", err=True)
    with leaving_at_once():
        from memvr_integrations.backend import Backend, QueueConfig

        return Backend.load(
            model,
            device=device,
            dtype=dtype,
            quantization=quantization,
            revision=revision,
            memvr=memvr,
            queueing=None if batch is None else QueueConfig(max_batch=batch),
            progress=sys.stderr.isatty(),
        )


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process on the spot.

    For importing and loading: some libraries swallow a KeyboardInterrupt there, and nothing was
    begun that would need an end.
    """

    def leave(*_: object) -> None:
        os.write(2, b"\ninterrupted\n")
        os._exit(_INTERRUPTED)

    if threading.current_thread() is not threading.main_thread():  # only it may set a handler
        yield
        return
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
