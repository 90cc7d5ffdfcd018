"""How the commands tell failures, warnings and interruptions: in a line each, on stderr."""

import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from memvr_integrations.errors import MemVRError, MemVRWarning

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@contextmanager
def told() -> Iterator[None]:
    """Tell failures and warnings of ours in one line each."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *where: object) -> None:
            if issubclass(category, MemVRWarning):
                typer.echo(f"hint: {message}", err=True)
            else:
                show(message, category, *where)  # type: ignore[arg-type]

        warnings.showwarning = tell  # type: ignore[assignment]
        warnings.simplefilter("always", MemVRWarning)
        try:
            yield
        except KeyboardInterrupt:
            typer.echo("\ninterrupted", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except MemVRError as error:
            _fail(error)


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


def _fail(error: MemVRError) -> NoReturn:
    text = " ".join(str(error).split())
    typer.echo(f"memvr: {text}", err=True)
    raise typer.Exit(1)
