"""Trains the shipped weights on: `python -m bundled_model.training.stretches`.

It runs the next stretch of `recipe.toml`, which lies beside this file and names all of them, their
order, seeds and sizes. What is done is known by weights: a stretch is next when those that ship, or
those that an earlier stretch left in the folder, are what it begins with. Each is as long as one
process may live, has a schedule of its own, and leaves a model in FOLDER/NAME/model. Ctrl-C saves,
what is killed loses a minute at most, and the same command goes on. Weights are shipped by hand,
once they are measured and better; then their SHA-256 goes into the recipe, as `makes`.
"""

import argparse
import hashlib
import os
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bundled_model.training.model import save
from bundled_model.training.precision import fastest_precision
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.stages.practice import PracticeStage
from bundled_model.training.trainer import TrainConfig
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world import SPRITES
from memvr_integrations.errors import ModelLoadError

RECIPE = Path(__file__).with_name("recipe.toml")
_STAGES: dict[str, type[JointStage]] = {"joint": JointStage, "practice": PracticeStage}
_MODEL = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One part of the recipe; `art` is "shipped" or "more", `makes` a digest of shipped weights.

    `mix` says how many conversations of each kind a practised picture gets, in the mean.
    """

    name: str
    stage: str
    steps: int
    cooldown: int
    batch: int
    practised: int
    fresh: float
    peak_lr: float
    seed: int
    art: str
    mix: dict[str, float]
    makes: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Stretches in order, and the SHA-256 of the weights that the first one begins with."""

    begins_with: str
    stretches: tuple[Stretch, ...]


def read_recipe(file: Path = RECIPE) -> Recipe:
    """The recipe of a file."""
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    stretches = tuple(Stretch(**one) for one in written["stretch"])
    return Recipe(begins_with=written["begins_with"], stretches=stretches)


def next_stretch(
    recipe: Recipe, folder: Path, shipped: Path = WEIGHTS
) -> tuple[Stretch, Path] | None:
    """The stretch to run now, and the model that it begins with; None: all have been run.

    Raises:
        ModelLoadError: The shipped weights are none that the recipe knows.
    """
    known = [recipe.begins_with, *(one.makes for one in recipe.stretches)]
    digest = hashlib.sha256((shipped / _MODEL).read_bytes()).hexdigest()
    if digest not in known:
        raise ModelLoadError(
            f"The weights in {shipped} have the SHA-256 {digest[:12]}..., which {RECIPE.name} "
            "doesn't name; give the stretch that made them this value as `makes`."
        )
    begun = shipped
    for one in recipe.stretches[known.index(digest) :]:
        made = folder / one.name / "model"
        if not (made / _MODEL).is_file():
            return one, begun
        begun = made
    return None


def config_of(stretch: Stretch, begun: Path, args: argparse.Namespace) -> TrainConfig:
    """A stretch's options as its stage takes them."""
    return TrainConfig(
        steps=stretch.steps,
        cooldown=stretch.cooldown,
        batch=stretch.batch,
        practised=stretch.practised,
        mix=stretch.mix,
        fresh=stretch.fresh,
        peak_lr=stretch.peak_lr,
        seed=stretch.seed,
        init=begun,
        art=args.art if stretch.art == "more" else SPRITES,
        watch=args.watch,
        device=args.device,
        precision=args.precision,
        measure_every=args.measure_every,
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, default=Path("bundled-stretches"), help="a folder of each stretch")
    add("--art", type=Path, default=Path("more.npz"), help="what art.render --more has rendered")
    add("--watch", type=Path, help="sprites that are measured on and never trained on")
    add("--recipe", type=Path, default=RECIPE, help="another recipe")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    add("--precision", default="auto", choices=("auto", "bfloat16", "float32"))
    add("--measure-every", type=int, default=150, help="steps between measurements")
    add("--show", action="store_true", help="say what is next, and train nothing")
    args = parser.parse_args(arguments)
    if args.watch and not args.watch.is_file():
        parser.error(f"--watch {args.watch} is no file; give one of bundled_model.art.render")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the next stretch of the recipe."""
    args = parse(arguments)
    found = next_stretch(read_recipe(args.recipe), args.folder)
    if found is None:
        print(f"Every stretch of {args.recipe} has been run; add one to go on.")
        return
    stretch, begun = found
    folder = args.folder / stretch.name
    print(f"next: {stretch.name}, {stretch.steps} steps, from {begun}, in {folder}")
    if args.show:
        return
    if stretch.art == "more" and not args.art.is_file():
        sys.exit(f"--art {args.art} is no file; python -m bundled_model.art.render --more makes it")
    if args.precision == "auto":
        args.precision = fastest_precision(args.device)
    _train(stretch, config_of(stretch, begun, args), folder)


def _train(stretch: Stretch, config: TrainConfig, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stage = _STAGES[stretch.stage](config, folder)
    print(f"process {os.getpid()}, arithmetic in {config.precision}", flush=True)
    try:
        stage.run()
    except KeyboardInterrupt:
        print("Stopped and saved; the same command goes on from there.", file=sys.stderr)
        sys.exit(130)  # as shells report SIGINT
    half = folder / "model.part"
    save(stage.finished(), half, stage.tokenizer)
    stage.save_heads(half)
    half.rename(folder / "model")
    print(f"wrote {folder / 'model'}; once it is measured and better, copy it to {WEIGHTS}")


if __name__ == "__main__":
    main()
