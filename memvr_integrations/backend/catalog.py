"""The models that have a name here, and what is known about each.

A field holds only what was seen: a revision stays None until somebody has pinned one. Without a
preset MemVR runs with LLaVA's settings, its window moved to the model's depth, uncalibrated.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from memvr_integrations.bundled import ABSTENTION, PRESET, WEIGHTS
from memvr_integrations.errors import did_you_mean
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.models import Glm4VConfig, QwenVLConfig


@dataclass(frozen=True, kw_only=True)
class CatalogRow:
    """One model.

    `parameters` counts weights. `revision` is None where nobody has pinned one; the hub's newest
    is taken then. `calibrated` says that `preset` was measured on this very model, `photographs`
    that it was trained on them. `abstention` is the output entropy (0 to 1) above which an answer
    is better withheld, None where nobody has measured it. `port` is the `model_type` that the
    checkpoint is converted to, None where transformers reads it as it is.
    """

    name: str
    checkpoint: str
    licence: str
    parameters: int
    revision: str | None = None
    preset: MemVRConfig | None = None
    calibrated: bool = False
    photographs: bool = True
    abstention: float | None = None
    port: str | None = None
    note: str = ""

    def gigabytes(self, bytes_per_weight: float = 2) -> float:
        """Memory of the weights alone: 2 bytes each in bfloat16 and float16, 4 in float32."""
        return self.parameters * bytes_per_weight / 1e9

    @property
    def downloaded(self) -> bool:
        """Whether the checkpoint lies on this machine."""
        if self.checkpoint == str(WEIGHTS):
            return (WEIGHTS / "config.json").exists()
        found = try_to_load_from_cache(self.checkpoint, "config.json", revision=self.revision)
        return isinstance(found, str) and has_weights(Path(found).parent)


CATALOG: tuple[CatalogRow, ...] = (
    CatalogRow(
        name="bundled",
        checkpoint=str(WEIGHTS),
        licence="Apache-2.0",
        parameters=6_740_096,
        preset=PRESET,
        calibrated=True,
        photographs=False,
        abstention=ABSTENTION,
        note="In the package. Knows drawn scenes only; for trying things and for tests.",
    ),
    CatalogRow(
        name="smolvlm-256m",
        checkpoint="HuggingFaceTB/SmolVLM-256M-Instruct",
        licence="Apache-2.0",
        parameters=256_000_000,
        note="Photographs on a CPU. Parameters by the checkpoint's name.",
    ),
    CatalogRow(
        name="smolvlm-500m",
        checkpoint="HuggingFaceTB/SmolVLM-500M-Instruct",
        licence="Apache-2.0",
        parameters=500_000_000,
        note="Photographs on a CPU, better and slower. Parameters by the checkpoint's name.",
    ),
    CatalogRow(
        name="llava-1.5-7b",
        checkpoint="llava-hf/llava-1.5-7b-hf",
        licence="Llama 2 Community License",
        parameters=7_063_427_072,
        preset=MemVRConfig.preset("llava"),
        calibrated=True,
        note="The paper's main model.",
    ),
    CatalogRow(
        name="llava-1.5-13b",
        checkpoint="llava-hf/llava-1.5-13b-hf",
        licence="Llama 2 Community License",
        parameters=13_351_494_656,
        preset=MemVRConfig.preset("llava").for_depth(40),
        note="The paper's window moved to 40 layers: uncalibrated.",
    ),
    CatalogRow(
        name="qwen-vl-chat",
        checkpoint="Qwen/Qwen-VL-Chat",
        licence="Tongyi Qianwen LICENSE AGREEMENT",
        parameters=0,
        preset=MemVRConfig.preset("qwen_vl"),
        port=QwenVLConfig.model_type,
        note="Boxes. To be converted once.",
    ),
    CatalogRow(
        name="glm-4v-9b",
        checkpoint="THUDM/glm-4v-9b",
        licence="glm-4",
        parameters=0,
        preset=MemVRConfig.preset("glm_4v"),
        port=Glm4VConfig.model_type,
        note="One image a conversation. To be converted once.",
    ),
)


def has_weights(folder: Path) -> bool:
    """Whether a checkpoint's weights are all there; an interrupted download leaves some out."""
    indices = [*folder.glob("*.safetensors.index.json"), *folder.glob("*.bin.index.json")]
    for index in indices:
        parts = set(json.loads(index.read_text())["weight_map"].values())
        return all((folder / part).exists() for part in parts)
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))


def find(name: str) -> CatalogRow | None:
    """The row that is called `name`, upper and lower case alike, or None."""
    return next((row for row in CATALOG if row.name == name.lower()), None)


def find_port(model_type: str) -> CatalogRow | None:
    """The row of a model that is ported here, by the `model_type` of its config.json."""
    return next((row for row in CATALOG if row.port == model_type), None)


def similar(name: str) -> str:
    """A hint for the end of an error message; empty when no catalog name is near."""
    return did_you_mean(name.lower(), (row.name for row in CATALOG))
