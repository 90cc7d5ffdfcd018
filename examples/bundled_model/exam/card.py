"""Writes the model card that lies beside the weights: figures, checksums, how it was trained."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from bundled_model.training.training_log import read_log

CARD = "README.md"

_TEXT = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: image-text-to-text
tags: [llava, drawn-scenes, object-hallucination]
---

# The model in the box of memvr-integrations

A small `LlavaForConditionalGeneration`, trained from scratch on drawn scenes, to try things and to
measure hallucination on a laptop. It knows {classes} classes in {themes} themes ({names}) and
nothing else: no photographs, no text in pictures, no people. Don't use it for any decision.

This card is written by `python -m bundled_model.exam.evidence`; no figure was typed by
hand. `docs/bundled-model.md` of the package says what the scenes are, what the model can't do, and
whose art was used.

## What it can do

{abilities}

{machine}
In percent, with 95 % intervals by image; plain decoding. "Unseen art" is drawn in icon styles that
training never saw.

## How it was trained

By `python -m bundled_model.training.train` on drawn scenes alone; its log is
`training.jsonl`, in `examples/bundled_model/shipped/` for the weights that ship.

{stages}

## Files

| file | bytes | SHA-256 |
|---|---|---|
{files}
"""


def write_card(
    weights: Path,
    *,
    log: Path,
    classes: int,
    themes: Sequence[str],
    abilities: Sequence[str],
    machine: str,
) -> Path:
    """Write the card of the checkpoint in `weights`.

    `abilities` are the lines of their table,
    `log` is that of the training."""
    path = weights / CARD
    path.write_text(
        _TEXT.format(
            classes=classes,
            themes=len(themes),
            names=", ".join(themes),
            abilities="\n".join(abilities),
            machine=machine,
            stages="\n".join(_stages(log)),
            files="\n".join(_files(weights)),
        )
    )
    return path


def _stages(log: Path) -> list[str]:
    """What every stage in a log came to."""
    if not log.exists():
        return ["There is no log."]
    last = {entry.stage: entry for entry in read_log(log)}
    return ["| stage | steps | minutes |", "|---|---|---|"] + [
        f"| {stage} | {entry.step:,} | {entry.minutes:.0f} |" for stage, entry in last.items()
    ]


def _files(weights: Path) -> list[str]:
    return [
        f"| `{path.name}` | {path.stat().st_size:,} | "
        f"`{hashlib.sha256(path.read_bytes()).hexdigest()}` |"
        for path in sorted(weights.iterdir())
        if path.is_file() and path.name != CARD
    ]
