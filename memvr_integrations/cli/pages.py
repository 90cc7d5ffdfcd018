"""PDFs among the pictures that a command is given: their pages, as many as the model reads."""

import bisect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from memvr_integrations.errors import MemVRWarning

if TYPE_CHECKING:
    from memvr_integrations.backend import Backend
    from memvr_integrations.types import Request

Asking = Callable[[Sequence[Path]], "Request"]
"""Makes a request of pictures."""


def with_pages(files: Sequence[str]) -> list[Path]:
    """The pictures, in the place of each PDF all its pages.

    Raises:
        ImageError: A PDF can't be used.
    """
    from memvr_integrations.backend.images import is_pdf, pdf_pages

    shown: list[Path] = []
    for file in files:
        shown += pdf_pages(file) if is_pdf(file) else [Path(file)]
    return shown


def fitting(
    backend: "Backend", model: str, files: Sequence[str], pictures: Sequence[Path], asking: Asking
) -> list[Path]:
    """Those of `pictures`, which `with_pages` made of `files`, that the model reads at once.

    What was named is shown in any case; pages of a whole PDF are left out from the end, with a
    warning that says so.
    """
    named = set(map(Path, files))
    pages = [one for one in pictures if one not in named]
    if not pages:
        return list(pictures)
    most = _most(backend, model, pictures, asking)
    left_out = set(pages[max(1, most - (len(pictures) - len(pages))) :])
    shown = [one for one in pictures if one not in left_out]
    typer.echo(f"Showing {', '.join(one.name for one in shown)}", err=True)
    if left_out:
        first = next(one for one in pages if one in left_out)
        warnings.warn(
            f"{len(left_out)} of {len(pages)} pages are left out, the first {first.name}: {model} "
            f"reads {len(shown)} pictures at once. Name the pages that you mean: {first.name}",
            MemVRWarning,
            stacklevel=2,
        )
    return shown


def _most(backend: "Backend", model: str, pictures: Sequence[Path], asking: Asking) -> int:
    """How many of the pictures the model reads at once: by the catalog, or by its context."""
    from memvr_integrations.backend.hosting.catalog import find

    row = find(model)
    if row is not None and row.pictures is not None:
        return row.pictures

    def tokens(count: int) -> int:
        request = asking(pictures[:count])
        return backend.count(request).prompt_tokens + request.sampling.max_tokens

    return bisect.bisect_right(range(1, len(pictures) + 1), backend.context, key=tokens)
