"""Averages the weights of checkpoints: `python -m bundled_model.averaging A B --out C`.

Where models were trained on from one another, their mean can be better than each of them on what
none has seen (arXiv 2203.05482 calls it a model soup). Measure it before you keep it.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bundled_model.exam.card import CARD
from memvr_integrations.errors import ConfigError

_WEIGHTS = "model.safetensors"


def average(models: Sequence[Path], out: Path) -> None:
    """Write the mean of models of one shape to `out`; all else there is the last one's.

    The model card isn't copied: its figures and checksums are those of the last one's weights.

    Raises:
        ConfigError: The models aren't of one shape; nothing was written.
    """
    parts = [load_file(model / _WEIGHTS) for model in models]
    shapes = [{key: value.shape for key, value in part.items()} for part in parts]
    for model, shape in zip(models, shapes, strict=True):
        if shape != shapes[-1]:
            raise ConfigError(
                f"{model / _WEIGHTS} holds other tensors than {models[-1] / _WEIGHTS}; only models "
                "that were trained on from one another can be averaged."
            )
    mean = {key: _mean([part[key] for part in parts]) for key in parts[0]}
    out.mkdir(parents=True, exist_ok=True)
    for file in models[-1].iterdir():
        if file.name not in (_WEIGHTS, CARD):
            shutil.copy(file, out)
    save_file(mean, out / _WEIGHTS, metadata={"format": "pt"})


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack([value.float() for value in values]).mean(0).to(values[0].dtype)


def main(arguments: list[str] | None = None) -> None:
    """Parse the options, average, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+", help="folders of finished models")
    parser.add_argument("--out", type=Path, required=True, help="where the mean goes")
    args = parser.parse_args(arguments)
    for model in args.models:
        if not (model / _WEIGHTS).is_file():
            parser.error(f"there is no {model / _WEIGHTS}; give folders that training wrote")
        if model.resolve() == args.out.resolve():
            parser.error(f"--out {args.out} is one of the models; give another folder")
    try:
        average(args.models, args.out)
    except ConfigError as error:
        parser.error(str(error))
    print(f"wrote {args.out}")
    if (card := args.models[-1] / CARD).exists():
        print(f"left out {card}, which is about other weights; exam.evidence writes a new one")


if __name__ == "__main__":
    main()
