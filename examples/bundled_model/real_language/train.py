"""Trains `scenes-135m`: `python -m bundled_model.real_language.train --folder DIRECTORY`.

It runs the next stretch of `recipe.toml`, which lies beside this file. Each is as long as one
process may live, has a schedule of its own, and leaves FOLDER/NAME/adapter.safetensors, with which
the next one begins. The language model comes by pip (see base.py), and its own answers are written
down once, in a quarter of an hour. Ctrl-C saves, what is killed loses a minute at most, and the
same command goes on.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bundled_model.real_language.base import fetch, open_base
from bundled_model.real_language.llava import build
from bundled_model.real_language.replay import answers
from bundled_model.real_language.stage import LanguageStage
from bundled_model.training.precision import fastest_precision
from bundled_model.training.trainer import TrainConfig
from memvr_integrations.bundled.world import SPRITES

RECIPE = Path(__file__).with_name("recipe.toml")
ADAPTER = "adapter.safetensors"


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One part of the recipe."""

    name: str
    steps: int
    cooldown: int
    batch: int
    peak_lr: float
    seed: int
    art: str


def read_recipe(file: Path = RECIPE) -> tuple[Stretch, ...]:
    """The stretches of a file, in order."""
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(Stretch(**one) for one in written["stretch"])


def next_stretch(stretches: Sequence[Stretch], folder: Path) -> tuple[Stretch, Path | None] | None:
    """The stretch to run now, and the adapter that it begins with; None: all have been run."""
    begun = None
    for one in stretches:
        made = folder / one.name / ADAPTER
        if not made.is_file():
            return one, begun
        begun = made
    return None


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, default=Path("scenes-135m-run"), help="a folder of each stretch")
    add("--art", type=Path, default=Path("more.npz"), help="what art.render --more has rendered")
    add("--watch", type=Path, help="sprites that are measured on and never trained on")
    add("--recipe", type=Path, default=RECIPE, help="another recipe")
    add("--measure-every", type=int, default=100, help="steps between measurements")
    add("--show", action="store_true", help="say what is next, and train nothing")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the next stretch of the recipe."""
    args = parse(arguments)
    found = next_stretch(read_recipe(args.recipe), args.folder)
    if found is None:
        print(f"Every stretch of {args.recipe} has been run; add one to go on.")
        return
    stretch, begun = found
    print(f"next: {stretch.name}, {stretch.steps} steps, from {begun or 'the base'}")
    if args.show:
        return
    if stretch.art == "more" and not args.art.is_file():
        sys.exit(f"--art {args.art} is no file; python -m bundled_model.art.render --more makes it")
    file = fetch(args.folder / "base")
    language, tokenizer = open_base(file)
    precision = fastest_precision("cpu")
    kind: torch.dtype = getattr(torch, precision)
    torch.nn.Module.to(language, kind)
    kept = answers(language, tokenizer, args.folder / "replay.jsonl")
    del language
    model, processor = build(file)
    config = TrainConfig(
        steps=stretch.steps,
        cooldown=stretch.cooldown,
        batch=stretch.batch,
        fresh=1.0,
        peak_lr=stretch.peak_lr,
        seed=stretch.seed,
        precision=precision,
        art=args.art if stretch.art == "more" else SPRITES,
        watch=args.watch,
        measure_every=args.measure_every,
    )
    folder = args.folder / stretch.name
    folder.mkdir(parents=True, exist_ok=True)
    stage = LanguageStage(config, folder, model, processor.tokenizer, kept, begun)
    print(f"process {os.getpid()}, arithmetic in {precision}", flush=True)
    try:
        stage.run()
    except KeyboardInterrupt:
        print("Stopped and saved; the same command goes on from there.", file=sys.stderr)
        sys.exit(130)  # as shells report SIGINT
    stage.average.save(folder / ADAPTER)
    print(f"wrote {folder / ADAPTER}")


if __name__ == "__main__":
    main()
