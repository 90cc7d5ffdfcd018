"""Other files that go on where they were: evaluations and conversions, killed or without room."""

import random
import tempfile
from pathlib import Path

import torch
from image_collections import Tally
from killing import Ended, Report, Running
from outcome import Found
from published import write_qwen
from safetensors.torch import load_file

from memvr_integrations.evaluate.running.runs import ANSWERS, Answer, Run
from memvr_integrations.models.conversion import convert

_QUESTIONS, _BATCH = 60, 4
_PART_BYTES = 20_000  # many parts
_STEPS = 16  # of room on the disk


def answering(report: Report, folder: Path) -> None:
    """Answer what is left of an evaluation; report each batch once it is kept."""
    run = Run(folder, {"benchmark": "soak"}, ways={"plain": {}})
    with run.alone():
        left = [f"{at}" for at in range(_QUESTIONS) if ("plain", 0, f"{at}") not in run]
        for start in range(0, len(left), _BATCH):
            some = left[start : start + _BATCH]
            run.add(
                Answer(strategy="plain", seed=0, question=one, text=f"{one}! " * 20) for one in some
            )
            report(some)


def answered(folder: Path, before: set[str]) -> tuple[set[str], str]:
    """The questions that are answered, and what is wrong with them."""
    try:
        texts = Run(folder, {"benchmark": "soak"}, ways={"plain": {}}).texts("plain", 0)
    except Exception as error:
        return before, f"opened again, {type(error).__name__}: {error}"
    lines = (folder / ANSWERS).read_text().splitlines()
    if lost := before - texts.keys():
        return set(texts), f"the answers to {sorted(lost)} are lost"
    if len(lines) != len(texts):
        return set(texts), f"{len(lines)} lines hold {len(texts)} answers"
    if torn := [one for one, text in texts.items() if text != f"{one}! " * 20]:
        return set(texts), f"the answers to {torn} are cut"
    return set(texts), ""


def converting(report: Report, source: Path, target: Path) -> None:
    """Convert a checkpoint in many parts."""
    report("begun")
    convert(source, target, progress=False, part_bytes=_PART_BYTES)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    return {name: one for file in files for name, one in load_file(file).items()}


def converted(target: Path, whole: dict[str, torch.Tensor]) -> str:
    """What is wrong with a conversion that has ended."""
    found = _weights(target)
    if found.keys() != whole.keys():
        return f"{len(found.keys() ^ whole.keys())} parameters are missing or too many"
    changed = [name for name, one in whole.items() if not torch.equal(one, found[name])]
    left = [file.name for file in target.iterdir() if "unfinished" in file.name]
    return f"{changed[:3]} differ" if changed else (f"{left} are left over" if left else "")


def soak(*, kills: int = 30, seed: int = 0) -> Found:
    """Evaluations and conversions, killed at any point or without room: nothing lost or twice."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        _evaluations(Path(folder), kills, seed, tally)
        _conversions(Path(folder), kills, seed, tally)
    kinds = (
        "evaluations killed",
        "evaluations without room",
        "conversions killed",
        "conversions without room",
    )
    figures: dict[str, int | float | str] = {
        what: tally.counts[what] for kind in kinds for what in (kind, f"{kind}, clear errors")
    }
    figures["lost, twice, damaged or without a clear error"] = len(tally.wrong)
    return Found(figures=figures, wrong=tuple(tally.wrong))


def _evaluations(folder: Path, kills: int, seed: int, tally: Tally) -> None:
    rng = random.Random(seed)
    at, place, kept = 0, folder / "run0", set[str]()
    for kill in range(kills):
        ended = Running(answering, place).end(
            reports=rng.randrange(4), pause=rng.random() ** 2 * 0.02
        )
        kept, why = answered(place, kept | _reported(ended))
        tally.take("evaluations killed", f"kill {kill} of seed {seed}", ended, why)
        if len(kept) == _QUESTIONS:
            at, place, kept = at + 1, folder / f"run{at + 1}", set()
    for step in range(_STEPS):
        place = folder / f"full{step}"
        ended = Running(answering, place, most_bytes=step * 1024).end()
        kept, why = answered(place, _reported(ended))
        again = Running(answering, place).end()
        why = why or again.error or answered(place, kept | _reported(again))[1]
        tally.take("evaluations without room", f"{step} KiB", ended, why)


def _reported(ended: Ended) -> set[str]:
    return {one for batch in ended.reported for one in batch}  # type: ignore[attr-defined]


def _conversions(folder: Path, kills: int, seed: int, tally: Tally) -> None:
    rng, source, target = random.Random(seed), folder / "published", folder / "ours"
    write_qwen(source)
    convert(source, folder / "whole", progress=False)
    whole = _weights(folder / "whole")
    for kill in range(kills):
        ended = Running(converting, source, target).end(reports=1, pause=rng.random() * 0.4)
        why = ""
        if not ended.killed:
            why = converted(target, whole)
            target = folder / f"ours{kill}"
        tally.take("conversions killed", f"kill {kill} of seed {seed}", ended, why)
    ended = Running(converting, source, target).end()
    tally.take("conversions killed", "the last", ended, converted(target, whole))
    for step in range(_STEPS):
        place = folder / f"small{step}"
        ended = Running(converting, source, place, most_bytes=step * 16384).end()
        again = Running(converting, source, place).end()
        tally.take(
            "conversions without room",
            f"{16 * step} KiB",
            ended,
            again.error or converted(place, whole),
        )
