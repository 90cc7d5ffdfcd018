"""Converting checkpoints that were published in a form of their own, wherever they lie."""

import logging
from pathlib import Path

from huggingface_hub import snapshot_download

from memvr_integrations.backend.hosting.catalog import find
from memvr_integrations.backend.hosting.locating import locate
from memvr_integrations.errors import ModelNotFoundError, UnsupportedModelError
from memvr_integrations.models.conversion import convert

_LOG = logging.getLogger(__name__)
_NEEDED = ["*.json", "*.safetensors", "*.bin", "*.tiktoken", "tokenizer.model"]


def convert_checkpoint(
    name: str, target: Path, *, revision: str | None = None, progress: bool = True
) -> None:
    """Convert a catalog name, a hub id or a directory; what is not here is downloaded first.

    Raises:
        ModelNotFoundError: Nothing is called so, or the hub can't be reached.
        UnsupportedModelError: It is of no family that is ported here.
        ModelLoadError: It is damaged, or `target` can't take it.
    """
    row = find(name)
    if row is not None and row.port is None:
        raise UnsupportedModelError(
            f"{row.name} needs no conversion: transformers reads its checkpoint as it is. Give "
            f"{row.name!r} as the model."
        )
    source, revision = locate(name, row, revision)
    if not Path(source).is_dir():
        _LOG.info("%s is not on this machine: downloading %s", source, revision or "main")
        try:
            source = snapshot_download(source, revision=revision, allow_patterns=_NEEDED)
        except OSError as error:
            raise ModelNotFoundError(
                f"{source} could not be downloaded ({type(error).__name__}: {error}). Run the "
                "same command again: what has come is kept."
            ) from error
    convert(Path(source), target, progress=progress)
