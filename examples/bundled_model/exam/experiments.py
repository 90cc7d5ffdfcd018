"""When does retracing carry sight? `python -m bundled_model.exam.experiments KIND`.

`language-first` builds a model as real ones are built: around the image tower of a finished one
(`--weights`) the decoder learns from text alone, then the projector, then all of it. `blindfold`
trains a finished model to see by retracing alone. Both then measure what retracing brings, always
against another image's tokens, another image of the same theme, and damping, and write a table.
`measure` does only that, to any checkpoint of this architecture. Other options are those of
`bundled_model.training.train`; a stopped run goes on.
"""

import argparse
import datetime
import os
import platform
import shlex
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from bundled_model.exam.examinee import Examinee
from bundled_model.exam.retracing_controls import controls_table
from bundled_model.exam.trials import Evidence
from bundled_model.training import train
from bundled_model.training.stages.blindfold import BLINDFOLDED
from memvr_integrations.bundled import PRESET, WEIGHTS
from memvr_integrations.bundled.world import SPRITES, THEMES
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes
from memvr_integrations.memvr import MemVRConfig

_SEEDS = {"dev": 12, "test": 13}
_WINDOWS = ((1, 6), (3, 5), (4, 11))
_RATIOS = (0.12, 0.4, 0.8)

_PAGE = """\
{table}

`python -m bundled_model.exam.experiments {command}`, {date}: {scenes} test scenes of all
themes, {dev} others to choose the setting on; torch {torch}, {cores} CPU cores ({machine}). Yes/no
questions of all kinds and captions, greedy, in percent with 95 % intervals by image. "Right" is
balanced, so that always saying the same is worth 50. "MemVR over it" is what the right image is
ahead of a line, paired.
"""


def parse(arguments: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """The options of the command, and those that are the training's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("kind", choices=("language-first", "blindfold", "measure"))
    parser.add_argument("--folder", type=Path, required=True, help="checkpoints, and the table")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="to measure or to train on")
    parser.add_argument("--scenes", type=int, default=800, help="to measure on")
    parser.add_argument("--dev", type=int, default=150, help="to choose the setting on")
    # The training knows it, too, but what is measured then lies in the folder.
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args, others = parser.parse_known_args(arguments)
    if args.out is not None:
        parser.error(
            f"--out {args.out} isn't for experiments: the model goes where it is measured, into "
            f"--folder {args.folder}; give another folder"
        )
    if args.kind == "measure" and others:
        parser.error(
            f"measure knows no {' '.join(others)}: it trains nothing; beside --folder it takes "
            "--weights, --scenes and --dev"
        )
    return args, others


def main(arguments: list[str] | None = None) -> None:
    """Parse the options, train, measure, write the table."""
    args, others = parse(arguments)
    folder = ["--folder", str(args.folder)]
    args.folder.mkdir(parents=True, exist_ok=True)
    weights, settings = args.weights, every_setting()
    layers: tuple[int | None, ...] = (None, 0, 3, 6)
    if args.kind == "language-first":
        train.main([*folder, "--tower", str(args.weights), "--language-first", *others])
        weights = args.folder / "model"
    elif args.kind == "blindfold":
        options = ["--init", str(args.weights), "--steps", "0", "--blindfold-steps", "400"]
        train.main([*folder, *options, *others])
        weights, settings = args.folder / "model-blindfold", [BLINDFOLDED]
        layers = (None, 0)
    if dist.is_initialized() and dist.get_rank() > 0:
        return
    evidence = Evidence(Examinee(weights), tuple(THEMES))
    dev, test = (
        evidence.condition(
            name, held_out_scenes(size, themes=evidence.themes, seed=_SEEDS[name], files=[SPRITES])
        )
        for name, size in (("dev", args.dev), ("test", args.scenes))
    )
    page = _PAGE.format(
        table="\n".join(controls_table(evidence, dev, test, layers, settings)),
        command=shlex.join(sys.argv[1:] if arguments is None else arguments),
        date=datetime.date.today(),
        scenes=args.scenes,
        dev=args.dev,
        torch=torch.__version__,
        cores=os.cpu_count(),
        machine=platform.machine(),
    )
    (args.folder / f"{args.kind}.md").write_text(page)
    print(page)


def every_setting() -> list[MemVRConfig]:
    """The preset, and retracing always, early, late and in one layer."""
    always = [
        MemVRConfig(
            starting_layer=start, ending_layer=end, entropy_threshold=0.0, retracing_ratio=ratio
        )
        for start, end in _WINDOWS
        for ratio in _RATIOS
    ]
    return [PRESET, *always]


if __name__ == "__main__":
    main()
