"""Where a model's files are: a directory, the hub's cache, or the hub."""

from pathlib import Path

from huggingface_hub import model_info, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from memvr_integrations.backend.catalog import CATALOG, CatalogRow, has_weights, similar
from memvr_integrations.errors import ModelLoadError, ModelNotFoundError
from memvr_integrations.models.conversion import RECORD

_HUB_SECONDS = 5.0


def locate(
    name: str | Path, row: CatalogRow | None, revision: str | None
) -> tuple[str, str | None]:
    """What from_pretrained opens: a directory, or a hub id that is known to be there."""
    source = row.checkpoint if row else str(name)
    revision = revision or (row.revision if row else None)
    if Path(source).is_dir():
        if (Path(source) / RECORD).exists() and not (Path(source) / "config.json").exists():
            raise ModelLoadError(
                f"{source} is a conversion that was stopped. Run the same `memvr convert` again: "
                "it goes on where it was."
            )
        if not (Path(source) / "config.json").exists():
            raise ModelLoadError(
                f"{source} is a directory without a config.json; give the directory that "
                "save_pretrained wrote."
            )
        return source, None
    names = ", ".join(known.name for known in CATALOG)
    if isinstance(name, Path) or source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise ModelNotFoundError(
            f"{str(name)!r} is no catalog name ({names}), no directory here and no hub id "
            f"like 'owner/model'.{similar(str(name))}"
        )
    try:
        folder = snapshot_download(source, revision=revision, local_files_only=True)
        if has_weights(Path(folder)):
            return folder, None
    except (LocalEntryNotFoundError, FileNotFoundError):
        pass
    except HFValidationError as error:
        raise ModelNotFoundError(f"{source!r} is not a valid hub id: {error}") from error
    _ask_hub(source, revision, names)
    return source, revision


def _ask_hub(source: str, revision: str | None, names: str) -> None:
    """Fail within seconds, and in plain words, where from_pretrained would retry for long."""
    try:
        model_info(source, revision=revision, timeout=_HUB_SECONDS)
    except GatedRepoError as error:
        raise ModelNotFoundError(
            f"{source} is gated: accept its licence on the hub and log in with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(f"{source} has no revision {revision!r}.") from error
    except RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"The hub has no model {source!r} (or it is private and you are not logged in). "
            f"Catalog names: {names}.{similar(source.rpartition('/')[2])}"
        ) from error
    except Exception as error:
        raise ModelNotFoundError(
            f"{source} is not on this machine (or not whole), and the model hub can't be reached "
            f"({type(error).__name__}). Download it where there is a network "
            f"(`hf download {source}`) and pass the directory, or use model='bundled', "
            "which needs no network."
        ) from error
