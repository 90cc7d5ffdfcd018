"""The model in the box: a small LLaVA trained on drawn scenes.

`bundled.world` draws such scenes; what made the model is `examples/bundled_model/` of a checkout.
"""

from pathlib import Path

from memvr_integrations.bundled.world.words import THEMES
from memvr_integrations.memvr.config import MemVRConfig

WEIGHTS = Path(__file__).parent / "weights"
"""The directory that `Backend.load("bundled")` opens; a transformers checkpoint."""

EXAMPLE = Path(__file__).parent / "example.png"
"""One drawn scene, for a first question: a farm."""

PRESET = MemVRConfig.preset("llava").for_depth(12)
"""What MemVR does on this model by default; `docs/bundled-evidence.md` says what it brings."""

ABSTENTION = 0.11
"""Output entropy above which an answer is better withheld: see `docs/bundled-evidence.md`."""

KNOWN_THEMES = tuple(THEMES)
"""The themes that the weights were trained on; evaluations draw their scenes from these."""

__all__ = ["ABSTENTION", "EXAMPLE", "KNOWN_THEMES", "PRESET", "WEIGHTS"]
