"""Trains the bundled model from scratch: `python -m bundled_model.training.train`.

Two stages, both on scenes that are drawn as they are needed, so no picture is seen often:
`vision` teaches the image tower to say of each patch what it shows; `joint` then trains
everything on packed conversations. With --language-first two more lie between them, as real models
are built: `language` teaches the decoder from text alone, `align` then trains the projector alone.
With --blindfold-steps a last stage follows, which makes a second model from the first: one that
sees by retracing when attention to the image is cut off.
The learning rate is constant until the last steps of a stage.
A run can be stopped at any time (Ctrl-C ends the step and saves; what is killed or fails loses a
minute at most) and goes on when the same command is given again; give more steps to train on. It
then sees other scenes than a run that was never stopped: those that were shown again, and art drawn
anew, aren't kept. `curves.svg` shows how far it has come. Under `torchrun --nproc-per-node N` N
processes share each batch, each on a GPU of its own where there are as many.
"""

import argparse
import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from bundled_model.training.model import save
from bundled_model.training.precision import fastest_precision
from bundled_model.training.stages.blindfold import BlindfoldStage
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.stages.language import AlignStage, LanguageStage
from bundled_model.training.stages.vision import DRAWING, VisionStage
from bundled_model.training.supply import TrainingArt
from bundled_model.training.trainer import TrainConfig
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world import SPRITES, THEMES, draw_scene

VISION = TrainConfig(steps=9000, cooldown=1500, batch=96, fresh=0.35, peak_lr=2.5e-3)
LANGUAGE = TrainConfig(steps=2000, cooldown=400, batch=32, fresh=1.0, peak_lr=2e-3)
ALIGN = TrainConfig(steps=600, cooldown=200, batch=32, fresh=0.5, peak_lr=2e-3, measure_every=300)
BLINDFOLD = TrainConfig(steps=0, cooldown=150, batch=32, fresh=0.5, peak_lr=1e-3, measure_every=100)
JOINT = TrainConfig(
    steps=12_000, cooldown=3000, batch=32, glances=96, fresh=0.5, peak_lr=2e-3, measure_every=250
)
_COUNTS = (
    *("vision_steps", "vision_cooldown", "steps", "cooldown", "language_steps", "align_steps"),
    *("blindfold_steps", "seed", "threads"),
)
_COOLING = "those of them with a falling learning rate"


def drawing_speed(art: Path, seconds: float = 2.0) -> float:
    """How many scenes one core draws in a second."""
    sprites, rng = TrainingArt(art, restyled=VISION.restyled), random.Random(0)
    started, drawn = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        draw_scene(rng, sprites, tuple(THEMES), DRAWING)
        drawn += 1
    return drawn / (time.perf_counter() - started)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, default=Path("bundled-run"), help="checkpoints and log")
    add("--out", type=Path, help="where the finished model goes; None: FOLDER/model")
    add("--themes", default=",".join(THEMES), help="what scenes are about")
    add("--init", type=Path, help="a finished model to train on, without a vision stage")
    add("--tower", type=Path, help="a model whose image tower is taken as it is")
    add(
        "--art",
        type=Path,
        default=SPRITES,
        help="sprites; art.render --more renders others",
    )
    add("--watch", type=Path, help="sprites that are measured on and never trained on")
    add("--restyled", type=float, default=VISION.restyled, help="share of the art in new styles")
    add("--vision-steps", type=int, default=VISION.steps, help="of the image tower alone")
    add("--vision-cooldown", type=int, default=VISION.cooldown, help=_COOLING)
    add("--steps", type=int, default=JOINT.steps, help="of everything together")
    add("--cooldown", type=int, default=JOINT.cooldown, help=_COOLING)
    add("--vision-lr", type=float, default=VISION.peak_lr, help="its highest learning rate")
    add("--lr", type=float, default=JOINT.peak_lr, help="the joint stage's highest learning rate")
    add("--batch", type=int, default=JOINT.batch, help="pictures that a joint step asks about")
    add("--glances", type=int, default=JOINT.glances, help="further ones that it only looks at")
    add("--turns", type=int, default=JOINT.turns, help="questions about a picture")
    add("--language-first", action="store_true", help="text alone, the projector alone, then all")
    add("--language-steps", type=int, default=LANGUAGE.steps, help="with it: of text alone")
    add("--align-steps", type=int, default=ALIGN.steps, help="with it: of the projector alone")
    add("--blindfold-steps", type=int, default=0, help="of a second model for the blindfold")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    add(
        "--precision",
        default="auto",
        choices=("auto", "bfloat16", "float32"),
        help="auto is the one that this device multiplies faster in",
    )
    add("--seed", type=int, default=0, help="of the weights and the scenes")
    add("--threads", type=int, default=0, help="of the CPU; 0: as many as there are cores")
    args = parser.parse_args(arguments)
    args.themes = tuple(args.themes.split(","))
    if wrong := _mistake(args):
        parser.error(wrong)
    return args


def _mistake(args: argparse.Namespace) -> str | None:
    """What can't be trained with, found before hours have gone by."""
    if unknown := set(args.themes) - set(THEMES):
        return f"no such theme: {', '.join(unknown)}; there are {', '.join(THEMES)}"
    for name in ("art", "watch"):
        file = getattr(args, name)
        if file and not file.is_file():
            return f"--{name} {file} is no file; give one of bundled_model.art.render"
    for name in ("init", "tower"):
        folder = getattr(args, name)
        for file in ("config.json", "model.safetensors"):
            if folder and not (folder / file).is_file():
                return f"--{name} {folder} has no {file}; give the folder of a finished model"
    if args.init and (args.language_first or args.tower):
        other = "--language-first" if args.language_first else f"--tower {args.tower}"
        return f"--init {args.init} is a whole model, which {other} would make anew; drop one"
    if wrong := _wrong_number(args):
        return wrong
    kind = args.device.partition(":")[0]
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        return f"--device {args.device} isn't there; give cpu, or cuda with a GPU"
    return _uneven(args)


def _wrong_number(args: argparse.Namespace) -> str | None:
    for name in _COUNTS:
        if (value := getattr(args, name)) < 0:
            return f"--{name.replace('_', '-')} {value} must be 0 or more"
    for name in ("lr", "vision_lr"):
        if not 0 < (value := getattr(args, name)) < 1:
            return f"--{name.replace('_', '-')} {value} must lie between 0 and 1"
    if not 0 <= args.restyled <= 1:
        return f"--restyled {args.restyled} is a share; give 0 to 1"
    if args.turns < 1:
        return f"--turns {args.turns} must be 1 or more"
    return None


def _uneven(args: argparse.Namespace) -> str | None:
    world = int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1
    for name, least in (("batch", world), ("glances", 0)):
        size = getattr(args, name)
        if size < least or size % world:
            return (
                f"--{name} {size} can't be shared evenly (processes: {world}); give a multiple of "
                f"{world}, {least} or more"
            )
    return None


def _shared(args: argparse.Namespace) -> dict[str, object]:
    names = ("themes", "device", "precision", "seed", "art", "watch", "restyled", "tower")
    return {name: getattr(args, name) for name in names}


def between(args: argparse.Namespace) -> tuple[TrainConfig, TrainConfig]:
    """The options of the two stages that make a model learn language first."""
    shared = _shared(args)
    return (
        replace(LANGUAGE, steps=args.language_steps, **shared),  # type: ignore[arg-type]
        replace(ALIGN, steps=args.align_steps, batch=args.batch, **shared),  # type: ignore[arg-type]
    )


def blindfold(args: argparse.Namespace) -> TrainConfig:
    """The options of the stage that trains for the blindfold."""
    steps = args.blindfold_steps
    return replace(BLINDFOLD, steps=steps, batch=args.batch, **_shared(args))  # type: ignore[arg-type]


def configs(args: argparse.Namespace) -> tuple[TrainConfig, TrainConfig]:
    """The options of the vision and of the joint stage."""
    shared = _shared(args)
    vision = replace(
        VISION,
        steps=args.vision_steps,
        cooldown=args.vision_cooldown,
        peak_lr=args.vision_lr,
        **shared,  # type: ignore[arg-type]
    )
    joint = replace(
        JOINT,
        steps=args.steps,
        cooldown=args.cooldown,
        peak_lr=args.lr,
        batch=args.batch,
        turns=args.turns,
        glances=args.glances,
        init=args.init,
        **shared,  # type: ignore[arg-type]
    )
    return vision, joint


def main(arguments: list[str] | None = None) -> None:
    """Parse the options, train the stages, write the finished model."""
    args = parse(arguments)
    try:
        _train(args)
    except KeyboardInterrupt:
        print(
            "Stopped. What was trained is saved; the same command goes on from there.",
            file=sys.stderr,
        )
        sys.exit(130)  # as shells report SIGINT


def _train(args: argparse.Namespace) -> None:
    if args.threads:
        torch.set_num_threads(args.threads)
    args.folder.mkdir(parents=True, exist_ok=True)
    if dist.is_torchelastic_launched():
        dist.init_process_group("gloo")
        if args.device == "cuda":
            args.device = f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"
    if args.precision == "auto":
        args.precision = fastest_precision(args.device)
    vision, joint = configs(args)
    first = not dist.is_initialized() or dist.get_rank() == 0
    if first:
        print(f"One core draws {drawing_speed(args.art):.0f} scenes a second.")
        print(f"Arithmetic is done in {args.precision}.")
    if args.init is None and not (args.folder / "joint.pt").exists():
        if args.tower is None:
            VisionStage(vision, args.folder).run()
        if args.language_first:
            language, align = between(args)
            LanguageStage(language, args.folder).run()
            AlignStage(align, args.folder).run()
    stage = JointStage(joint, args.folder)
    stage.run()
    out = args.out or args.folder / "model"
    if first:
        save(stage.finished(), out, stage.tokenizer)
        stage.save_heads(out)
        print(f"wrote {out}; once it is measured and better, copy it to {WEIGHTS}")
    if args.blindfold_steps:
        second = BlindfoldStage(blindfold(args), args.folder)
        second.run()
        if first:
            beside = out.with_name(f"{out.name}-blindfold")
            save(second.finished(), beside, second.tokenizer)
            print(f"wrote {beside}")


if __name__ == "__main__":
    main()
