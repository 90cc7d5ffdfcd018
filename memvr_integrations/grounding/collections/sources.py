"""Which images a collection is asked to hold: files, folders, pages, URLs, pixels, tables."""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from memvr_integrations.backend.images import (
    DEFAULT_POLICY,
    ImagePolicy,
    is_pdf,
    load_image,
    page_of,
    pdf_pages,
    pixel_hash,
)
from memvr_integrations.errors import ConfigError, ImageError
from memvr_integrations.grounding.collections.metadata import Metadata, plain_cell, plain_metadata

if TYPE_CHECKING:
    import pandas as pd
    import PIL.Image

Source: TypeAlias = "str | Path | bytes | PIL.Image.Image"
Given: TypeAlias = "Source | tuple[Source, Metadata]"
"""An image, alone or with what to filter it by."""

_SUFFIXES = (
    ".png .jpg .jpeg .jpe .webp .gif .bmp .tif .tiff .ppm .pgm .pbm .avif .mpo .pdf".split()  # noqa: SIM905
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An image and what its owner says of it; `source` is a path or a URL.

    `metadata` is None where nothing is said: then it stays as it is.
    """

    source: str
    metadata: Metadata | None = None

    @property
    def id(self) -> str:
        """The same for the same place, always."""
        return id_of(self.source)

    @property
    def stamp(self) -> str:
        """What changes when the file does; empty where there is no file."""
        return stamp_of(self.source)


def id_of(source: str) -> str:
    """The id of an image, from its place."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, source))


def is_file(source: str) -> bool:
    """Whether a source is a path, not a URL."""
    return "://" not in source


def file_of(source: str) -> str:
    """The file of a source: of a page, the PDF's."""
    page = page_of(source)
    return str(page[0]) if page else source


def stamp_of(source: str) -> str:
    """A file's size and time."""
    try:
        status = os.stat(file_of(source))
    except (OSError, ValueError):  # URLs and impossible names are no files either
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def place_of(image: str | Path) -> str:
    """A URL as it is; a path in the one way to write it.

    Links among its folders are followed, but it is not itself: two names in a folder are two
    images.
    """
    if isinstance(image, str) and not is_file(image):
        return image
    path = Path(image)
    try:
        return str(path.parent.resolve() / path.name)
    # No name that a file can have, or links in a circle; reading it will say why.
    except (OSError, ValueError, RuntimeError):
        return str(path)


def in_folder(
    folder: str | Path,
    *,
    recursive: bool,
    metadata: Callable[[Path], Metadata] | None,
    policy: ImagePolicy = DEFAULT_POLICY,
) -> tuple[list[Entry], dict[str, str]]:
    """The images of a folder, by their suffixes; of a PDF, its pages.

    `metadata` is asked for each file. Returns the images, and why a PDF has none, by its path.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise ConfigError(f"{folder} is no folder; give the folder that holds the images.")
    files = sorted(root.rglob("*") if recursive else root.glob("*"))
    images = [file for file in files if file.suffix.lower() in _SUFFIXES and file.is_file()]
    if not images:
        raise ConfigError(
            f"{folder} holds no image ({', '.join(_SUFFIXES)}); give another folder"
            + ("." if recursive else ", or recursive=True.")
        )
    said = {file: plain_metadata(metadata(file), repr(str(file))) for file in images if metadata}
    found: list[Entry] = []
    failed: dict[str, str] = {}
    for file in images:
        try:
            pages = pages_in(str(file), policy)
        except ImageError as error:
            failed[str(file)] = str(error)
        else:
            found += [Entry(source=page, metadata=said.get(file)) for page in pages]
    return found, failed


def pages_in(source: str, policy: ImagePolicy) -> list[str]:
    """The pages of a source that is a PDF, one after the other; any other source as it is.

    Raises:
        ImageError: The PDF can't be used.
    """
    if not (is_file(source) and is_pdf(source)):
        return [source]
    return [str(page) for page in pdf_pages(source, policy)]


def in_table(table: "pd.DataFrame", column: str) -> Iterator[tuple[Source, Metadata]]:
    """The images of a DataFrame; its other columns are their metadata."""
    if column not in table.columns:
        raise ConfigError(
            f"The table has no column {column!r} but {', '.join(map(str, table.columns))}; name "
            "the one with the images as image_column=."
        )
    for row in table.to_dict("records"):
        source = row.pop(column)
        yield source, {str(name): plain_cell(value) for name, value in row.items()}


def entries(
    images: "Given | Iterable[Given]", keep: Path | None, policy: ImagePolicy = DEFAULT_POLICY
) -> tuple[list[Entry], dict[str, str]]:
    """Images of any kind, or one alone; pixels that are nowhere yet are kept as files in a folder.

    A PDF is its pages. Returns the images, and why others can't be read, by their number in what
    was given.
    """
    found: list[Entry] = []
    failed: dict[str, str] = {}
    for at, image in enumerate(_listed(images)):  # one by one: pixels need not fit into memory
        source, metadata = _pair(image, at)
        try:
            pages = pages_in(_source(source, keep, policy), policy)
            found += [Entry(source=page, metadata=metadata) for page in pages]
        except ImageError as error:
            failed[f"image {at}"] = f"image {at} (counted from 0): {error}"
    return found, failed


def _listed(images: "Given | Iterable[Given]") -> "Iterable[Given]":
    if isinstance(images, Mapping):
        raise ConfigError(
            "The images are a dict; give pairs of image and metadata: list(images.items())."
        )
    one = isinstance(images, str | Path | bytes | bytearray | memoryview)
    pixels = isinstance(images, np.ndarray) and images.dtype.kind not in "OUS"
    pair = isinstance(images, tuple) and len(images) == 2 and isinstance(images[1], Mapping)
    if one or pixels or pair or not hasattr(images, "__iter__"):
        return [images]  # type: ignore[list-item]  # whatever else it is, reading it will say
    return images  # type: ignore[return-value]  # nothing else can be iterated


def _pair(image: "Given", at: int) -> "tuple[Source, Metadata | None]":
    """An image and its metadata, checked before anything is kept."""
    if not isinstance(image, tuple):
        return image, None
    if len(image) != 2:
        raise ConfigError(
            f"image {at} (counted from 0) is a tuple of {len(image)}; give (image, metadata)."
        )
    source, metadata = image
    name = repr(str(source)[:200]) if isinstance(source, str | Path) else f"image {at}"
    return source, plain_metadata(metadata, name)


def _source(source: "Source", keep: Path | None, policy: ImagePolicy) -> str:
    if isinstance(source, Path) or (
        isinstance(source, str) and source.lstrip()[:5].lower() != "data:"
    ):
        return place_of(source)
    image = load_image(source, policy)
    if keep is None:
        raise ConfigError(
            "A picture is in no file, so nobody could be shown it later; give keep=, a folder "
            "that it is written to."
        )
    path = keep / f"{pixel_hash(image)}.png"
    if not path.exists():
        half = path.with_suffix(f".{uuid.uuid4()}.part")  # another process may write the same one
        try:
            keep.mkdir(parents=True, exist_ok=True)
            image.save(half, "PNG")
            half.replace(path)  # whole, or not there
        except OSError as problem:
            half.unlink(missing_ok=True)
            raise ConfigError(
                f"A picture can't be kept in {keep} ({problem.strerror or problem}); make room, or "
                "choose another persist_dir."
            ) from problem
    return str(path.resolve())
