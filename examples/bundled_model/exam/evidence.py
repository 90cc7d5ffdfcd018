"""Measures the bundled model: `python -m bundled_model.exam.evidence`.

Writes `docs/bundled-evidence.md`, and the model card beside the weights. Unseen art is rendered
from npm packages, unless `--held-out` names a file of it.
"""

import argparse
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bundled_model.art.icons import HELD_OUT, render_styles
from bundled_model.art.render import write_sprites
from bundled_model.exam.examinee import Examinee
from bundled_model.exam.processes import Processes
from bundled_model.exam.report import Sizes, write_page
from bundled_model.exam.trials import Evidence
from memvr_integrations.bundled import KNOWN_THEMES, WEIGHTS
from memvr_integrations.bundled.world import THEMES
from memvr_integrations.errors import MemVRError

_DOCS = Path(__file__).parents[3] / "docs"
_FEWEST = 2  # scenes: one control shows the model another image


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of the command, checked before hours go into what they ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="a finished model")
    parser.add_argument("--scenes", type=int, default=1000, help="test scenes for abilities")
    parser.add_argument("--compared", type=int, default=300, help="of them for MemVR and controls")
    parser.add_argument("--dev", type=int, default=150, help="dev scenes for the settings")
    parser.add_argument("--themes", help=f"{', '.join(THEMES)}; else what ships knows")
    parser.add_argument("--held-out", type=Path, help="sprites of unseen art; else npm is asked")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--out", type=Path, default=_DOCS / "bundled-evidence.md", help="the page")
    args = parser.parse_args(arguments)
    if args.themes is not None:
        args.themes = tuple(args.themes.split(","))
    for wrong in _mistakes(args):
        parser.error(wrong)
    args.themes = args.themes or KNOWN_THEMES
    return args


def _ships(weights: Path) -> bool:
    return weights.resolve() == WEIGHTS.resolve()


def _mistakes(args: argparse.Namespace) -> Iterator[str]:
    if not (args.weights / "config.json").is_file():
        yield f"there is no model in --weights {args.weights}; give a folder that training wrote"
    if args.themes is None and not _ships(args.weights):
        yield (
            "a model doesn't say what themes it was trained on; name those of --weights "
            f"{args.weights}, as in --themes {shlex.quote(','.join(KNOWN_THEMES))}"
        )
    for theme in args.themes or ():
        if theme not in THEMES:
            yield f"no such theme: {theme!r}; there are {', '.join(THEMES)}"
    for name in ("scenes", "compared", "dev"):
        if (size := getattr(args, name)) < _FEWEST:
            yield f"--{name} {size} is too few; give at least {_FEWEST}"
    if args.compared > args.scenes:
        yield (
            f"--compared {args.compared} of --scenes {args.scenes} can't be taken; give at most "
            f"--compared {args.scenes}, or more scenes"
        )
    if args.held_out is not None and not args.held_out.is_file():
        yield (
            f"there is no file --held-out {args.held_out}; `python -m "
            f"bundled_model.art.render --held-out {args.held_out}` makes it"
        )
    if args.out.is_dir() or not args.out.parent.is_dir():
        yield f"--out {args.out} can't be written; give a file in a folder that is there"


def options(args: argparse.Namespace) -> str:
    """The options that the figures depend on: what makes the same page again."""
    given = ["--scenes", args.scenes, "--compared", args.compared, "--dev", args.dev]
    if not _ships(args.weights):
        given += ["--weights", args.weights]
    if args.themes != KNOWN_THEMES or not _ships(args.weights):
        given += ["--themes", ",".join(args.themes)]
    if args.held_out is not None:
        with np.load(args.held_out) as archive:
            styles = {key.partition("|")[0] for key in archive.files}
        if styles != set(HELD_OUT):  # which the command renders itself
            given += ["--held-out", args.held_out]
    return shlex.join(map(str, given))


def main(arguments: list[str] | None = None) -> None:
    """Parse the options, measure, write the page."""
    args = parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        unseen = args.held_out
        if unseen is None:
            unseen = Path(folder) / "held-out.npz"
            try:
                sprites = render_styles(HELD_OUT)
            except MemVRError as error:
                raise SystemExit(f"{error}\nOr give a file of unseen art as --held-out.") from None
            write_sprites(unseen, sprites)
        evidence = Evidence(Examinee(args.weights), args.themes)
        sizes = Sizes(test=args.scenes, compared=args.compared, dev=args.dev)
        with Processes(args.jobs) as processes:
            write_page(
                processes,
                evidence,
                weights=args.weights,
                unseen=unseen,
                sizes=sizes,
                options=options(args),
                out=args.out,
            )


if __name__ == "__main__":
    main()
