"""From a name to a model in memory: where it comes from, on what device, in what precision."""

import functools
import logging
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForImageTextToText,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from memvr_integrations.backend.hosting.catalog import find, find_port
from memvr_integrations.backend.hosting.catalog_row import CatalogRow, written_settings
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.locating import downloaded, locate
from memvr_integrations.backend.hosting.origin import Origin, touched
from memvr_integrations.backend.hosting.processors import load_processor
from memvr_integrations.errors import (
    MemoryExhaustedError,
    MemVRError,
    MemVRWarning,
    ModelLoadError,
    UnsupportedModelError,
)
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.models.conversion import port_of

_SMALL = 1_000_000_000  # weights up to which a CPU has room for float32, its fastest type

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that is ready to run; `row` is None for models outside the catalog.

    `origin` is None for a model that was built in memory: nothing says which one it is. It holds as
    long as `touched(model)` is what it was.
    """

    name: str
    model: PreTrainedModel
    processor: ProcessorMixin
    row: CatalogRow | None
    origin: Origin | None = None
    touched: int = 0


def load_model(name: str | Path, config: LoadConfig) -> LoadedModel:
    """Find, check and load a model by catalog name, local directory or hub id.

    Raises:
        ModelNotFoundError: Nothing is called so, or the hub can't be reached.
        ModelLoadError: It is there but broken, or a needed package is missing.
        UnsupportedModelError: It does not read images and write text.
    """
    row = None if isinstance(name, Path) else find(name)
    source, revision = locate(name, row, config.revision)
    device, started = pick_device(config.device), time.monotonic()
    with _failures_shown(str(name)), _progress_bars(config.progress):
        _check_converted(source, revision)
        settings = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
        _check_settings(name, settings, anatomy=bool(config.memvr))
        # A folder's files are noted before the weights are read.
        origin = _origin(name, row or find_port(settings.model_type), source, config)
        processor = load_processor(source, revision, settings)
        loaded: tuple[PreTrainedModel, Mapping[str, Collection[str]]]
        loaded = AutoModelForImageTextToText.from_pretrained(  # type: ignore[assignment]
            source,
            revision=revision,
            trust_remote_code=False,
            dtype=pick_dtype(config, device),
            device_map="balanced" if config.device == "balanced" else {"": device},
            quantization_config=_quantization(config, device),
            attn_implementation=config.attention,
            output_loading_info=True,
        )
        model, report = loaded
        if origin is None and (folder := downloaded(source, revision)):  # just now
            origin = _origin(name, row, folder, config)
        if report["missing_keys"]:
            origin = None  # some are random, if they are let pass
        _check_whole(str(name), report["missing_keys"])
        if ignored := report["unexpected_keys"]:
            _LOG.info("%s: ignored %d weights, such as %s", name, len(ignored), min(ignored))
        if config.dtype == "auto" and config.quantization is None and device.type == "cpu":
            small = model.num_parameters() < _SMALL
            model = model.float() if small else model.bfloat16()
    seconds = time.monotonic() - started
    _LOG.info("%s loaded in %.1f s: %s on %s", name, seconds, model.dtype, model.device)
    row = row or find_port(settings.model_type)
    return LoadedModel(
        name=row.name if row else str(name),
        model=model.eval(),
        processor=processor,
        row=row,
        origin=origin,
        touched=touched(model),
    )


def origin_here(name: str, config: LoadConfig) -> Origin | None:
    """Where a model comes from, as `load_model` has it, with nothing loaded.

    None where that must be loaded to be known: it is not on this machine yet.
    """
    row = find(name)
    source = row.checkpoint if row else name
    pinned = config.revision or (row.revision if row else None)
    folder = source if Path(source).is_dir() else downloaded(source, pinned)
    if folder is None:
        return None
    row = row or find_port(str(written_settings(Path(folder)).get("model_type")))
    return _origin(name, row, folder, config)


def _origin(
    name: str | Path, row: CatalogRow | None, source: str, config: LoadConfig
) -> Origin | None:
    """`source` is what `locate` found; None while that is on the hub alone."""
    if not Path(source).is_dir():
        return None
    device = pick_device(config.device)
    how = (
        device.type,
        str(pick_dtype(config, device)),
        config.quantization,
        config.attention,
        row.preset.to_dict() if row and row.preset else None,
        row.box_scale if row else None,
    )
    if Path(row.checkpoint if row and row.port is None else name).is_dir():
        return Origin.of_folder(Path(source), how)
    return Origin.of_snapshot(Path(source), how)


def _check_whole(name: str, missing: Collection[str]) -> None:
    """Refuse weights that transformers made up because no file has them.

    In a vision tower there may be some that nothing reads, such as a pooling head.
    """
    if not missing:
        return
    gone = f"{len(missing)} weights of {name} are in none of its files, such as {min(missing)}"
    if not all("vision" in one or "visual" in one for one in missing):
        raise ModelLoadError(
            f"{gone}: it would answer by chance. Download the whole checkpoint, or save it again "
            "under the names that its class has."
        )
    warnings.warn(
        f"{gone}: they are random, and answers about images with them, unless nothing reads them.",
        MemVRWarning,
        stacklevel=2,
    )


def _check_settings(name: str | Path, settings: PretrainedConfig, *, anatomy: bool) -> None:
    """Refuse before gigabytes are loaded, or fetched, what can't run or MemVR can't attach to."""
    if type(settings) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise UnsupportedModelError(
            f"{name} is a {settings.model_type!r} model, which transformers does not run from "
            "image and text to text. Choose a vision-language model."
        )
    if anatomy:
        with torch.device("meta"):
            find_anatomy(AutoModelForImageTextToText.from_config(settings))


def _check_converted(source: str, revision: str | None) -> None:
    """Say how to convert what was published in a form of its own."""
    published, _ = PretrainedConfig.get_config_dict(source, revision=revision)
    port = port_of(published)
    if port is not None:
        raise UnsupportedModelError(
            f"{source} is {port.name} as it was published, with code of its own, which is never "
            f"run here. Convert it once (`memvr convert {source} DIRECTORY`), then give that "
            "directory as the model."
        )


@functools.cache
def context_of(name: str, revision: str | None = None) -> int:
    """How many tokens a model reads, by its settings alone: no weights are loaded.

    Raises:
        ModelNotFoundError: Nothing is called so, or the hub can't be reached.
        ModelLoadError: Its settings can't be read.
    """
    source, revision = locate(name, find(name), revision)
    with _failures_shown(name):
        return context_window(AutoConfig.from_pretrained(source, revision=revision))


def context_window(settings: PretrainedConfig) -> int:
    """How many tokens a model with these settings reads."""
    text = settings.get_text_config()
    return int(getattr(text, "max_position_embeddings", 0) or 2**31)


def pick_device(name: str) -> torch.device:
    """The device that a name means here; of several the one that reads the prompt."""
    if name == "balanced":
        return torch.device("cuda", 0)
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(config: LoadConfig, device: torch.device) -> torch.dtype | str:
    """The precision to load in; "auto" on a CPU, where it depends on how many weights there are."""
    if config.dtype != "auto":
        dtype: torch.dtype = getattr(torch, config.dtype)
        return dtype
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if device.type == "mps" else "auto"


def _quantization(config: LoadConfig, device: torch.device) -> BitsAndBytesConfig | None:
    if config.quantization is None:
        return None
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ModelLoadError(
            f"quantization={config.quantization!r} needs bitsandbytes: pip install bitsandbytes."
        ) from error
    if config.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    compute = torch.bfloat16 if device.type != "mps" else torch.float16
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
    )


@contextmanager
def _failures_shown(name: str) -> Iterator[None]:
    """Raise the failures of loading in our own words."""
    try:
        yield
    except MemVRError:
        raise
    except torch.OutOfMemoryError as error:
        raise MemoryExhaustedError(
            f"{name} does not fit into the device's memory. Load it with quantization='4bit', with "
            "device='balanced' where there are several GPUs, or choose a smaller model or "
            "device='cpu'."
        ) from error
    # Damaged files make torch and transformers raise nearly every type there is.
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise UnsupportedModelError(
                f"{name} brings code of its own, which is never run here. Choose a model whose "
                "architecture transformers has."
            ) from None
        reason = " ".join(str(error).split())[:300]
        raise ModelLoadError(
            f"{name} was found but could not be loaded: {type(error).__name__}: {reason}"
        ) from error


@contextmanager
def _progress_bars(wanted: bool) -> Iterator[None]:
    """Show or hide transformers' bars, and leave its switch as it was."""
    before = transformers.utils.logging.is_progress_bar_enabled()
    _switch_bars(wanted)
    try:
        yield
    finally:
        _switch_bars(before)


def _switch_bars(on: bool) -> None:
    if on:
        transformers.utils.logging.enable_progress_bar()
    else:
        transformers.utils.logging.disable_progress_bar()
