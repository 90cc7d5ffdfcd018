"""`memvr eval explain`: loads a model, measures its explanations, and writes what was found."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import torch

from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.load_config import Device, Dtype, LoadConfig
from memvr_integrations.backend.hosting.loading import LoadedModel, load_model
from memvr_integrations.backend.hosting.vision import FeatureCache
from memvr_integrations.evaluate.faithfulness.faithfulness import measure

QUESTIONS = 200
TABLE, FIGURES = "explain.md", "explain.json"


def explained_scenes(
    model: str,
    out: Path,
    *,
    questions: int = QUESTIONS,
    seed: int = 0,
    device: Device | str = "auto",
    dtype: Dtype = "auto",
    progress: Callable[[int], None] | None = None,
) -> str:
    """Measure, and write a table and a JSON file into `out`; the table.

    Raises:
        MemVRError: The model can't be loaded, or not be explained.
    """
    loaded = load_model(model, LoadConfig(device=device, dtype=dtype, progress=False))
    found = measure(
        Host(loaded, FeatureCache()),
        questions,
        seed=seed,
        untrained=Host(_untrained(loaded), FeatureCache()),
        progress=progress,
    )
    table = f"{date.today().isoformat()}, seed {seed}. {found.markdown()}"
    out.mkdir(parents=True, exist_ok=True)
    (out / TABLE).write_text(table, encoding="utf-8")
    (out / FIGURES).write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
    return table


def _untrained(loaded: LoadedModel) -> LoadedModel:
    """The same model with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = type(loaded.model)(loaded.model.config).eval()
    torch.nn.Module.to(model, device=loaded.model.device, dtype=loaded.model.dtype)
    return replace(loaded, model=model)
