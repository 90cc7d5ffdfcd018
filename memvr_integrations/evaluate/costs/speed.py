"""What MemVR and the backend cost: `python -m memvr_integrations.evaluate.costs.speed`.

Parts, all of which compare in turn and by ratios within a round:
  decode      model.generate, MemVR off, as it comes, never and always triggering, by probe
  strategies  each strategy beside MemVR off
  callers     many callers at once: throughput, and percentiles of their waits
  reuse       second questions and turns, ten questions on an image, eight answers
  memory      what the process holds over many requests
  bandwidth   decode beside the bandwidth of a GPU's memory; left out where there is none

All of it takes about half an hour for the bundled model on two CPU cores, and hours for a model of
random weights; each part says what it took. Nothing else should run meanwhile.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

import torch

from memvr_integrations.backend.hosting.load_config import Dtype
from memvr_integrations.backend.serving.backend import Backend
from memvr_integrations.checks import check_choice, check_integer
from memvr_integrations.errors import MemVRError
from memvr_integrations.evaluate.costs import bandwidth, callers, charts, decode, memory, reuse
from memvr_integrations.evaluate.costs.figures import Json, Table
from memvr_integrations.evaluate.costs.shapes import SHAPES
from memvr_integrations.evaluate.costs.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured.

    Args:
        rounds: Of all ways, taking turns.
        tokens: Of an answer in `decode`, `strategies` and `bandwidth`.
        chance: Questions that come by chance, in each of a quarter of the rounds.
        requests: In `memory`.
    """

    rounds: int = 20
    tokens: int = 32
    chance: int = 128
    requests: int = 2000

    def __post_init__(self) -> None:
        """Refuse what leaves nothing to compare."""
        check_integer("rounds", self.rounds, least=1)
        check_integer("tokens", self.tokens, least=3)  # the first two belong to the prefill
        check_integer("chance", self.chance, least=1)
        check_integer("requests", self.requests, least=memory.LEAST)


def _decode(subject: Subject, sizes: Sizes) -> Iterator[Table]:
    decoding = decode.Decoding(subject, sizes.tokens)
    timings = decoding.rounds(decode.memvr_ways(subject.preset), sizes.rounds)
    yield decode.table("Decode", timings, decode.GENERATE, "decode")
    del timings[decode.GENERATE]
    note = "; ".join(f"{kind}: {way}" for kind, way in decoding.chosen.items())
    yield decode.table("MemVR", timings, decode.OFF, "decode", note=f"{note}.", milliseconds=False)


def _strategies(subject: Subject, sizes: Sizes) -> Iterator[Table]:
    own = subject.loaded.name == "bundled"
    ways = decode.strategy_ways("bundled" if own else None)
    timings = decode.Decoding(subject, sizes.tokens).rounds(ways, sizes.rounds)
    note = "the student of contrastive is the model itself." if own else ""
    yield decode.table("Strategies", timings, decode.OFF, "answer", note=note)


def _callers(subject: Subject, sizes: Sizes) -> Iterator[Table]:
    with Backend(subject.loaded) as backend:
        backend.generate(subject.ask(3))
        yield callers.table(backend, subject, sizes.rounds)
        yield callers.by_chance(backend, subject, max(sizes.rounds // 4, 1), sizes.chance)


def _reuse(subject: Subject, sizes: Sizes) -> Iterator[Table]:
    with Backend(subject.loaded) as backend:
        yield reuse.Reuse(backend, subject).table(sizes.rounds)


def _memory(subject: Subject, sizes: Sizes) -> Iterator[Table]:
    yield memory.table(subject, sizes.requests)


def _bandwidth(subject: Subject, sizes: Sizes) -> Iterator[Table]:
    if subject.on_cpu:
        print("bandwidth: left out, as there is no GPU", file=sys.stderr)
        return
    yield bandwidth.table(subject, sizes.rounds, sizes.tokens)


PARTS: dict[str, Callable[[Subject, Sizes], Iterator[Table]]] = {
    "decode": _decode,
    "strategies": _strategies,
    "callers": _callers,
    "reuse": _reuse,
    "memory": _memory,
    "bandwidth": _bandwidth,
}


def measure(
    subject: Subject, parts: Sequence[str], sizes: Sizes
) -> Iterator[tuple[str, list[Table], float]]:
    """The tables of each part, and the seconds that it took."""
    for part in parts:
        started = time.perf_counter()
        tables = list(PARTS[part](subject, sizes))
        yield part, tables, time.perf_counter() - started


def described(subject: Subject) -> dict[str, Json]:
    """The model, the machine and the day."""
    model = subject.loaded.model
    gpu = None if subject.on_cpu else torch.cuda.get_device_name()
    return {
        "model": subject.loaded.name,
        "parameters": model.num_parameters(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "machine": gpu or f"{os.cpu_count()} CPU cores ({platform.machine()})",
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    """Parse the options, measure, print the tables."""
    args = _parser().parse_args()
    known = {field.name: getattr(args, field.name) for field in fields(Sizes)}
    try:
        sizes, parts = Sizes(**known), [name.strip() for name in args.part.split(",")]
        for part in parts:
            check_choice("--part", part, tuple(PARTS))
        subject = Subject.load(args.model, device=args.device, dtype=args.dtype)
    except MemVRError as error:
        sys.exit(str(error))
    about, found = described(subject), dict[str, Json]()
    if not args.json:
        print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    for part, tables, seconds in measure(subject, parts, sizes):
        found[part] = [table.to_dict() for table in tables]
        print(f"{part}: {seconds:.0f} s", file=sys.stderr)
        for table in tables if not args.json else []:
            print("", *table.markdown(), sep="\n", flush=True)
        if args.out is not None:
            keep(args.out, {**about, "sizes": known, "parts": found}, tables)
    if args.json:
        print(_written({**about, "sizes": known, "parts": found}))


def keep(folder: Path, measured: dict[str, Json], tables: Sequence[Table]) -> None:
    """Write what was measured so far, and charts of the newest tables."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speed.json").write_text(_written(measured) + "\n", encoding="utf-8")
    for table in tables:
        name = table.title.lower().replace(" ", "-")
        (folder / f"{name}.svg").write_text(charts.chart(table), encoding="utf-8")


def _written(measured: dict[str, Json]) -> str:
    return json.dumps(measured, indent=1, allow_nan=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        default="bundled",
        help="a catalog name, directory or hub id (bundled); or random weights in the shape of "
        + ", ".join(SHAPES),
    )
    parser.add_argument("--part", default=",".join(PARTS), help="with commas; all of them")
    for field, what in zip(fields(Sizes), _SIZES, strict=True):
        parser.add_argument(
            f"--{field.name}", type=int, default=field.default, help=f"{what} ({field.default})"
        )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--dtype", default="auto", choices=get_args(Dtype))
    parser.add_argument("--json", action="store_true", help="print JSON, with every round's value")
    parser.add_argument("--out", type=Path, help="a folder for that JSON and for charts")
    return parser


_SIZES = (
    "of all ways, taking turns",
    "an answer, three at least",
    "questions that come by chance, in each of a quarter of the rounds",
    "of the part memory",
)


if __name__ == "__main__":
    main()
