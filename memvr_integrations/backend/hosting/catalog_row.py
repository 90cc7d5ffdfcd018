"""What is known about one model that has a name here."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.memvr.config import MemVRConfig

OWN_TEMPLATE = "the checkpoint's chat template"


@dataclass(frozen=True, kw_only=True)
class CatalogRow:
    """One model; None stands for what nobody here has seen.

    `parameters` counts weights; it is `estimated` where a part of the checkpoint's settings was
    concluded from its family's. `layers` are the decoder's, `context` is how many tokens it reads,
    `image_tokens` how many visual ones a picture has or, with "a tile", a tile of it. `calibrated`
    says that `preset` was measured on this very model, `photographs` that it was trained on them,
    `pictures` how many it reads at once at most,
    `trained_for_tools` that its card or documentation says so (JSON and calls are kept valid with
    any model). `abstention` is the output entropy (0 to 1) above which an answer is better
    withheld. `box_scale` is set where it writes boxes as `[x0, y0, x1, y1]`, in such parts of a
    picture's width and height. Answers longer than `alone_above` tokens, prompt included, can't be
    computed together with others; None where all can, 0 where none can. `port` is the `model_type`
    that the checkpoint is converted to, None where transformers reads it as it is.
    """

    name: str
    checkpoint: str
    family: str
    licence: str | None = None
    parameters: int | None = None
    estimated: bool = False
    revision: str | None = None
    layers: int | None = None
    context: int | None = None
    image_tokens: str | None = None
    prompt: str = OWN_TEMPLATE
    preset: MemVRConfig | None = None
    calibrated: bool = False
    photographs: bool = True
    pictures: int | None = None
    trained_for_tools: bool | None = None
    abstention: float | None = None
    box_scale: int | None = None
    alone_above: int | None = None
    port: str | None = None
    note: str = ""

    @property
    def settings(self) -> MemVRConfig | None:
        """What `memvr=True` means: the preset, else LLaVA's moved to this depth, uncalibrated."""
        if self.preset is None and self.layers is not None:
            return MemVRConfig.preset("llava").for_depth(self.layers)
        return self.preset

    @property
    def about(self) -> str:
        """What it is, and which of its answers run alone."""
        if self.alone_above is None:
            return self.note
        which = f"of over {self.alone_above:,} tokens " if self.alone_above else ""
        return f"{self.note} Answers {which}run alone."

    def gigabytes(self, bytes_per_weight: float = 2) -> float | None:
        """Memory of the weights alone: 2 bytes each in bfloat16 and float16, 4 in float32."""
        return None if self.parameters is None else self.parameters * bytes_per_weight / 1e9

    def to_dict(self) -> dict[str, object]:
        """The row as plain values that JSON can hold."""
        weights, settings = self.gigabytes(), self.settings
        return {
            **{name: value for name, value in asdict(self).items() if name != "preset"},
            "gigabytes_bfloat16": None if weights is None else round(weights, 2),
            "memvr": settings.to_dict() if settings else None,
            "downloaded": self.downloaded,
        }

    @property
    def downloaded(self) -> bool:
        """Whether the checkpoint lies on this machine."""
        if self.checkpoint == str(WEIGHTS):
            return (WEIGHTS / "config.json").exists()
        folders = (cached(self.checkpoint, name) for name in (self.revision or "main", "main"))
        return any((one / "config.json").exists() and has_weights(one) for one in folders)


def cached(checkpoint: str, revision: str) -> Path:
    """Where the hub's cache keeps a revision, by its layout.

    The hub's own function for this takes longer to import than listing all models does.
    """
    folder = Path(HF_HUB_CACHE) / f"models--{checkpoint.replace('/', '--')}"
    ref = folder / "refs" / revision
    return folder / "snapshots" / (ref.read_text().strip() if ref.is_file() else revision)


def has_weights(folder: Path) -> bool:
    """Whether a checkpoint's weights are all there; an interrupted download leaves some out."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if index.exists():
            parts = set(json.loads(index.read_text())["weight_map"].values())
            return all((folder / part).exists() for part in parts)
        if (folder / name).exists():
            return True
    return False


def written_settings(folder: Path) -> dict[str, object]:
    """A checkpoint's config.json; empty where it can't be read: who loads it says what is wrong."""
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def written_context(folder: Path) -> int | None:
    """How many tokens a checkpoint's settings say that it reads; None where they don't say."""
    settings = written_settings(folder)
    text = settings.get("text_config") or settings
    found = text.get("max_position_embeddings") if isinstance(text, dict) else None
    return found if isinstance(found, int) and found > 0 else None
