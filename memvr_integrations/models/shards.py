"""Reading published weights a tensor at a time, whatever files they are in."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from memvr_integrations.errors import ModelLoadError

_BLOCK = 2**22
# What the files of the hub's cache are called, and what its download records hold: their SHA-256.
_DIGEST_LENGTH = 64
# As safetensors and PyTorch call them.
_TYPES = {"F32", "F16", "BF16", "F64", "FLOAT32", "FLOAT16", "BFLOAT16", "FLOAT64"}


@dataclass(frozen=True)
class Shard:
    """A file of weights: the tensors in it, with their sizes in bytes."""

    path: Path
    sizes: Mapping[str, int]

    @contextmanager
    def opened(self) -> Iterator[Callable[[str], Tensor]]:
        """Read its tensors by name; they stay on disk until they are used."""
        if self.path.suffix == ".safetensors":
            with safe_open(self.path, "pt") as file:
                yield file.get_tensor
        else:
            yield _unpickled(self.path).__getitem__


def find_shards(folder: Path) -> list[Shard]:
    """The files of weights in a folder: safetensors, else PyTorch's own.

    Raises:
        ModelLoadError: There are none, one is missing, or one can't be read.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        paths = _named(folder, name)
        if paths:
            return [Shard(path, _sizes(path)) for path in paths]
    raise ModelLoadError(
        f"{folder} has no weights (model*.safetensors or pytorch_model*.bin). Give the directory "
        "into which the whole checkpoint was downloaded."
    )


def digest(path: Path, progress: Callable[[int], object]) -> str:
    """The SHA-256 of a file; `progress` gets the number of bytes read."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
            progress(len(block))
    return found.hexdigest()


def published_digest(path: Path) -> str | None:
    """The SHA-256 that the hub gave when it sent a file, or None where it was not kept."""
    name = path.resolve().name  # in the hub's cache, files are links to blobs with that name
    if _is_digest(name):
        return name
    record = path.parent / ".cache" / "huggingface" / "download" / f"{path.name}.metadata"
    lines = record.read_text().split() if record.is_file() else []
    return lines[1] if len(lines) > 1 and _is_digest(lines[1]) else None


def _is_digest(text: str) -> bool:
    return len(text) == _DIGEST_LENGTH and all(digit in "0123456789abcdef" for digit in text)


def _named(folder: Path, name: str) -> list[Path]:
    index = folder / f"{name}.index.json"
    if not index.exists():
        return [folder / name] if (folder / name).exists() else []
    try:
        names = sorted(
            {_file_name(one) for one in json.loads(index.read_text())["weight_map"].values()}
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(f"{index} is damaged ({error!r}). Download it again.") from error
    missing = [one for one in names if not (folder / one).is_file()]
    if missing:
        raise ModelLoadError(
            f"{folder} lacks {len(missing)} of {len(names)} files of weights, such as "
            f"{missing[0]}. Let the download finish."
        )
    return [folder / one for one in names]


def _file_name(value: object) -> str:
    if not isinstance(value, str) or Path(value).name != value:
        raise ValueError(f"{value!r} is no name of a file")
    return value


def _sizes(path: Path) -> dict[str, int]:
    if path.suffix != ".safetensors":
        found = _unpickled(path)
        _check_types(path, {name: str(value.dtype) for name, value in found.items()})
        return {name: tensor.nbytes for name, tensor in found.items()}
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        with safe_open(path, "pt") as whole:  # checks that the file is as long as it says
            names = set(whole.keys())
    except (SafetensorError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise _damaged(path, error) from error
    _check_types(path, {name: str(header[name]["dtype"]) for name in names})
    ends = {name: header[name]["data_offsets"] for name in names}
    return {name: end - start for name, (start, end) in ends.items()}


def _check_types(path: Path, types: Mapping[str, str]) -> None:
    """Quantised weights keep their scales elsewhere, and mean nothing without them."""
    for name, kind in types.items():
        if kind.removeprefix("torch.").upper() not in _TYPES:
            raise ModelLoadError(
                f"{path} holds {name} as {kind}: it is quantised. Take the checkpoint in bfloat16, "
                "float16 or float32; quantization='4bit' makes it small when it is loaded."
            )


def _unpickled(path: Path) -> dict[str, Tensor]:
    try:
        try:
            found = _loaded(path, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            found = _loaded(path, mmap=False)  # written by a torch before 1.6
    except UnpicklingError as error:
        raise ModelLoadError(
            f"{path} holds more than weights, or is no file of weights; code in it is never run. "
            "Download the checkpoint again, from its makers."
        ) from error
    # What damaged bytes make of an unpickler is nearly every type there is.
    except Exception as error:
        raise _damaged(path, error) from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise _damaged(path, TypeError(f"it holds a {type(found).__name__}"))
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _loaded(path: Path, *, mmap: bool) -> object:
    return torch.load(path, map_location="cpu", mmap=mmap, weights_only=True)


def _damaged(path: Path, error: Exception) -> ModelLoadError:
    if isinstance(error, PermissionError):
        return ModelLoadError(f"{path} may not be read by this user; change its permissions.")
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelLoadError(
        f"{path} can't be read as weights ({reason}): it is damaged or incomplete. Download it "
        "again."
    )
