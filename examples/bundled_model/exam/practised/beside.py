"""Sets weights beside those that ship: `python -m bundled_model.exam.practised.beside --weights A`.

Writes a table of shares in percent with 95 % intervals by picture, MemVR off: what is practised and
what the page of evidence has, in art that was trained on and in other art (`--unseen`, a file of
`art.render --held-out`). Both models are asked the same; the difference is paired. The last line is
how long an answer takes, each model in turn.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from bundled_model.exam.abilities import Figure, figures
from bundled_model.exam.examinee import Examinee, about
from bundled_model.exam.practised.exam import rows
from bundled_model.exam.trials import Condition, Evidence
from memvr_integrations.backend import Request, SamplingParams
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.world import SPRITES, THEMES
from memvr_integrations.evaluate import share
from memvr_integrations.evaluate.benchmarks.scene_questions import CAPTION, held_out_scenes

_SEED = 51  # scenes of no other exam
_ALL = tuple(THEMES)
_PARTS = ("all", "practised", "before")


def compared(
    weights: Path, art: dict[str, Path], *, scenes: int, parts: str = "all"
) -> Iterator[str]:
    """The lines of the table; `art` holds sprites by name, `parts` is one of "all", "practised"
    and "before".
    """
    examinees = [Examinee(WEIGHTS), Examinee(weights)]
    yield "| art | | shipped | these | difference |"
    yield "|---|---|---|---|---|"
    for name, file in art.items():
        drawn = held_out_scenes(scenes, themes=_ALL, seed=_SEED, files=[file])
        condition = Evidence(examinees[0], _ALL).condition(name, drawn)
        asked = [_asked(one, condition, parts) for one in examinees]
        for before, after in zip(*asked, strict=True):
            cells = [name, before.name, str(before.share), str(after.share)]
            yield f"| {' | '.join(cells)} | {difference(before, after)} |"


def difference(before: Figure, after: Figure) -> str:
    """The paired difference; nothing where the two don't count the same."""
    if not torch.equal(before.total, after.total):
        return ""
    return share(after.hits.double() - before.hits.double(), before.total).signed()


def _asked(examinee: Examinee, condition: Condition, parts: str) -> Iterator[Figure]:
    if parts != "before":
        yield from rows(examinee, condition.scenes)
    if parts != "practised":
        yield from figures(Evidence(examinee, _ALL), condition)


def taken(weights: Path, *, rounds: int) -> str:
    """How many times as long an answer of so many tokens takes; median and range."""
    examinees = [Examinee(WEIGHTS), Examinee(weights)]
    scenes = held_out_scenes(rounds + 1, themes=_ALL, seed=_SEED, files=[SPRITES])
    pictures = [scene.pixels for scene in scenes]
    ratios = []
    for turn in range(rounds + 1):
        # To the end of the budget, whatever the answer is: as many tokens of both.
        request = Request(
            messages=about(turn, CAPTION).messages(pictures),
            sampling=SamplingParams(max_tokens=40, min_tokens=40),
        )
        times = [_seconds(one, request) for one in examinees]
        if turn:  # the first one prepares
            ratios.append(times[1] / times[0])
    middle = statistics.median(ratios)
    return f"time of an answer: {middle:.3f} ({min(ratios):.2f}-{max(ratios):.2f}) times"


def _seconds(examinee: Examinee, request: Request) -> float:
    started = time.process_time()
    examinee.backend.generate([request])
    return time.process_time() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="a finished model's folder")
    parser.add_argument("--scenes", type=int, default=100, help="pictures of each art (100)")
    parser.add_argument("--unseen", type=Path, help="sprites that training never read")
    parser.add_argument("--parts", choices=_PARTS, default=_PARTS[0], help="which rows (all)")
    parser.add_argument("--rounds", type=int, default=10, help="answers that are timed (10)")
    args = parser.parse_args(arguments)
    for option in ("weights", "unseen"):
        given = getattr(args, option)
        if given and not given.exists():
            parser.error(f"--{option} {given} isn't there")
    art = {"same": SPRITES} | ({"unseen": args.unseen} if args.unseen else {})
    for line in compared(args.weights, art, scenes=args.scenes, parts=args.parts):
        print(line, flush=True)
    print(f"\n{taken(args.weights, rounds=args.rounds)}")


if __name__ == "__main__":
    main()
