"""Which images a collection is asked to hold: files, folders, URLs, pixels, tables."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from memvr_integrations.backend.images import load_image, pixel_hash
from memvr_integrations.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    import PIL.Image

Source: TypeAlias = "str | Path | bytes | PIL.Image.Image"
Metadata: TypeAlias = Mapping[str, str | int | float | bool | None]
Told: TypeAlias = "Source | tuple[Source, Metadata]"
"""An image, alone or with what to filter it by."""

_SUFFIXES = (
    ".png .jpg .jpeg .jpe .webp .gif .bmp .tif .tiff .ppm .pgm .pbm .avif .mpo".split()  # noqa: SIM905
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An image and what its owner says of it; `source` is a path or a URL."""

    source: str
    metadata: Metadata = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same for the same place, always."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.source))

    @property
    def is_file(self) -> bool:
        """Whether it is on this machine."""
        return is_file(self.source)

    @property
    def stamp(self) -> str:
        """What changes when the file does: its size and time; empty where there is no file."""
        if not self.is_file or not Path(self.source).exists():
            return ""
        status = Path(self.source).stat()
        return f"{status.st_size}:{status.st_mtime_ns}"


def is_file(source: str) -> bool:
    """Whether a source is a path, not a URL."""
    return "://" not in source


def in_folder(
    folder: str | Path, *, recursive: bool, metadata: Callable[[Path], Metadata] | None
) -> list[Entry]:
    """The images of a folder, by their suffixes.

    Raises:
        ConfigError: There is no such folder, or no image in it.
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
    return [Entry(source=str(file), metadata=metadata(file) if metadata else {}) for file in images]


def in_table(table: "pd.DataFrame", column: str) -> Iterator[tuple[Source, Metadata]]:
    """The images of a DataFrame; its other columns are their metadata.

    Raises:
        ConfigError: There is no such column.
    """
    if column not in table.columns:
        raise ConfigError(
            f"The table has no column {column!r} but {', '.join(map(str, table.columns))}; name "
            "the one with the images as image_column=."
        )
    for row in table.to_dict("records"):
        source = row.pop(column)
        yield source, {str(name): _plain(value) for name, value in row.items()}


def entries(images: Iterable[Told], keep: Path) -> Iterator[Entry]:
    """Images of any kind; pixels that are nowhere yet are kept as files in a folder.

    Raises:
        ConfigError: One of them is no image source.
        ImageError: Pixels can't be read.
    """
    for image in images:
        source, metadata = image if isinstance(image, tuple) else (image, {})
        if isinstance(source, str) and not is_file(source):
            yield Entry(source=source, metadata=metadata)
        elif isinstance(source, str | Path):
            yield Entry(source=str(Path(source).resolve()), metadata=metadata)
        else:
            yield Entry(source=str(_kept(source, keep)), metadata=metadata)


def _kept(source: "bytes | PIL.Image.Image", keep: Path) -> Path:
    image = load_image(source)
    path = keep / f"{pixel_hash(image)}.png"
    if not path.exists():
        keep.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part")
        image.save(half, "PNG")
        half.rename(path)  # whole, or not there
    return path.resolve()


def _plain(value: object) -> str | int | float | bool | None:
    """A table's value as JSON has it."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, str | int | float | bool):
        return None if value != value else value  # NaN
    return str(value)
