"""How right a model's own labels are: `python -m bundled_model.exam.label_check`.

On drawn scenes the truth is known, so the labels that `memvr calibrate self` would make of them can
be marked, beside the plain answers to the same questions.
"""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import PIL.Image
import torch

from memvr_integrations.backend import Backend
from memvr_integrations.bundled.world import CLASSES, Scene
from memvr_integrations.evaluate import (
    Asking,
    Estimate,
    Labelling,
    Run,
    Strategy,
    Things,
    by_image,
    images_in,
    load_scenes,
    share,
)
from memvr_integrations.types import Engine

_PLAIN = "plain"
SEED = 41  # scenes of its own


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Shares in percent: labels that are right, and plain answers to the same questions."""

    labels: int
    labels_right: Estimate
    answers_right: Estimate


def check(engine: Engine, folder: Path, *, count: int, progress: bool = True) -> Checked:
    """Label `count` drawn scenes, and mark labels and plain answers by the truth.

    Raises:
        BenchmarkError: The model's answers agree on nothing.
    """
    scenes = load_scenes(count=count, seed=SEED).scenes
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for name, scene in scenes.items():
        PIL.Image.fromarray(scene.pixels).save(pictures / f"{name}.png")
    known = sorted({name for scene in scenes.values() for name in scene.names} & set(CLASSES))
    asked = Labelling(
        engine,
        images_in(pictures, None),
        Things.of(",".join(known)),
        folder / "labels",
        progress=progress,
    ).benchmark()
    run = Run(folder / "plain", {"plain answers by": engine.name}, ways={})
    Asking(engine, run, progress=progress).ask(asked.questions, [Strategy(name=_PLAIN)], [0])
    agreed = asked.right(run.texts(_PLAIN, 0))
    marks = list(
        _marks(asked.labels, {f"{name}.png": scene for name, scene in scenes.items()}, agreed)
    )
    owners = [image for image, _, _ in marks]
    return Checked(
        labels=len(marks),
        labels_right=_share([label for _, label, _ in marks], owners, count),
        answers_right=_share([answer for _, _, answer in marks], owners, count),
    )


def _marks(
    labels: Mapping[str, Mapping[str, bool]],
    scenes: Mapping[str, Scene],
    agreed: Mapping[str, bool],
) -> Iterable[tuple[int, bool, bool]]:
    """By label: the scene's number, whether the label is right, whether the plain answer is."""
    for number, (image, scene) in enumerate(scenes.items()):
        for thing, label in labels.get(image, {}).items():
            right = label == (thing in scene.names)
            yield number, right, right == agreed[f"{image}/{thing}"]


def _share(right: list[bool], owners: list[int], images: int) -> Estimate:
    values = torch.tensor(right, dtype=torch.float64)
    return share(
        by_image(values, owners, images), by_image(torch.ones_like(values), owners, images)
    )


def main() -> None:
    """Print how right the bundled model's own labels are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=200)
    args = parser.parse_args()
    with TemporaryDirectory() as folder, Backend.load("bundled") as backend:
        found = check(backend, Path(folder), count=args.scenes)
    print(f"{found.labels} labels of {args.scenes} scenes")
    print(f"labels that are right: {found.labels_right} %")
    print(f"plain answers to the same questions that are right: {found.answers_right} %")


if __name__ == "__main__":
    main()
