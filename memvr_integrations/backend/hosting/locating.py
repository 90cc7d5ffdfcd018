"""Where a model's files are: a directory, the hub's cache, or the hub."""

import logging
import warnings
from pathlib import Path

from huggingface_hub import model_info, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from memvr_integrations.backend.hosting.catalog import similar
from memvr_integrations.backend.hosting.catalog_row import CatalogRow, has_weights
from memvr_integrations.errors import MemVRWarning, ModelLoadError, ModelNotFoundError
from memvr_integrations.models.part_writer import RECORD

_LOG = logging.getLogger(__name__)
_HUB_SECONDS = 5.0
_NAMES = "such as bundled, smolvlm-256m, llava-1.5-7b; `memvr models` lists all"


def locate(
    name: str | Path, row: CatalogRow | None, revision: str | None
) -> tuple[str, str | None]:
    """What from_pretrained opens: a directory, or a hub id that is known to be there.

    Without a `revision`, that of the catalog's row is meant; where only the newest one was
    downloaded, that is taken, with a warning.

    Raises:
        ModelNotFoundError: Nothing is called so, or the hub can't be reached.
        ModelLoadError: It is a directory without a model.
    """
    source = row.checkpoint if row else str(name)
    if Path(source).is_dir():
        return _directory(source), None
    if isinstance(name, Path) or source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise ModelNotFoundError(
            f"{str(name)!r} is no catalog name ({_NAMES}), no directory here and no hub id "
            f"like 'owner/model'.{similar(str(name))}"
        )
    pinned = None if revision or row is None else row.revision
    if folder := downloaded(source, revision or pinned):
        _LOG.debug("%s lies in %s", source, folder)
        return folder, None
    if pinned and (folder := downloaded(source, None)):
        warnings.warn(
            f"{source} lies on this machine, but not in the revision {pinned} that the catalog "
            "names: what was downloaded is taken. revision='main' says so without this warning.",
            MemVRWarning,
            stacklevel=2,
        )
        return folder, None
    _ask_hub(source, revision or pinned)
    _LOG.info("%s is not on this machine: downloading %s", source, revision or pinned or "main")
    return source, revision or pinned


def _directory(source: str) -> str:
    if (Path(source) / "config.json").exists():
        return source
    if (Path(source) / RECORD).exists():
        raise ModelLoadError(
            f"{source} is a conversion that was stopped. Run the same `memvr convert` again: it "
            "goes on where it was."
        )
    raise ModelLoadError(
        f"{source} is a directory without a config.json; give the directory that save_pretrained "
        "wrote."
    )


def downloaded(source: str, revision: str | None) -> str | None:
    """Where the hub's cache holds a whole checkpoint, if it does."""
    try:
        folder = snapshot_download(source, revision=revision, local_files_only=True)
    except (LocalEntryNotFoundError, FileNotFoundError):
        return None
    except HFValidationError as error:
        raise ModelNotFoundError(f"{source!r} is not a valid hub id: {error}") from error
    return folder if has_weights(Path(folder)) else None


def _ask_hub(source: str, revision: str | None) -> None:
    """Fail within seconds, and in plain words, where from_pretrained would retry for long."""
    try:
        model_info(source, revision=revision, timeout=_HUB_SECONDS)
    except GatedRepoError as error:
        raise ModelNotFoundError(
            f"{source} is gated: accept its licence on the hub and log in with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"{source} has no revision {revision!r}; revision='main' takes the newest."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"The hub has no model {source!r} (or it is private and you are not logged in). "
            f"Catalog names: {_NAMES}.{similar(source.rpartition('/')[2])}"
        ) from error
    # Proxies, certificates and name servers make the layers below raise types of their own.
    except Exception as error:
        raise ModelNotFoundError(
            f"{source} is not on this machine (or not whole), and the model hub can't be reached "
            f"({type(error).__name__}). Download it where there is a network "
            f"(`hf download {source}`) and pass the directory, or use model='bundled', "
            "which needs no network."
        ) from error
