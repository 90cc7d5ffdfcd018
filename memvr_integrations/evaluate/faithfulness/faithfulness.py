"""Whether explanations point at what they should: `memvr eval explain`.

Questions are about things that are there, which the model has seen. A map points if its hottest
visual token shows a part of the thing. Three controls say what pointing is worth: chance; the same
words explained on a picture without the thing; and the right maps beside another scene's boxes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from memvr_integrations.backend.decoding.explained import AnswerReader
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.evaluate.faithfulness.measures import (
    Box,
    box_at_k,
    curves,
    overlap,
    points,
    touching,
)
from memvr_integrations.evaluate.faithfulness.pointing import (
    METHODS_COMPARED,
    Asker,
    Shown,
    Values,
    shown_things,
)
from memvr_integrations.evaluate.running.statistics import Estimate, share
from memvr_integrations.explain.boxes import box_of
from memvr_integrations.explain.mapped import ExplainMethod
from memvr_integrations.explain.maps import agreement

_DEFAULT: ExplainMethod = "attention_gradient"
BOXES = "the thing's own boxes"
CHANCE = "a random map"
RANDOM = "random weights"


@dataclass
class Row:
    """What one way of making maps came to, a value a question; None where there is none."""

    points: list[float] = field(default_factory=list)
    box_at_k: list[float] = field(default_factory=list)
    deletion: list[float] = field(default_factory=list)
    insertion: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    overlap: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Estimate | None]:
        """Each measure's mean with its interval, in percent."""
        return {
            name: share(torch.tensor(values)) if values else None
            for name, values in vars(self).items()
        }


@dataclass(frozen=True, kw_only=True)
class Faithfulness:
    """Rows by method or control, of how many questions, and the boxes' share of a picture."""

    name: str
    rows: dict[str, dict[str, Estimate | None]]
    questions: int
    missed: int
    area: Estimate
    boxed: int

    def markdown(self) -> str:
        """A table with what it is of."""
        columns = ("points", "box_at_k", "deletion", "insertion", "agreement", "overlap")
        heads = (
            "points right",
            "box@k",
            "deletion (low is good)",
            "insertion (high is good)",
            "agreement with occlusion",
            "IoU of boxes",
        )
        lines = [
            f"{self.name}: {self.questions} questions about things that are there, and seen by "
            f"the model ({self.missed} more were missed, and left out). Boxes touch {self.area} "
            f"percent of the visual tokens; IoU over {self.boxed} things that are there once. "
            "Percent, with 95 % intervals.",
            "",
            "| | " + " | ".join(heads) + " |",
            "|---" * (len(heads) + 1) + "|",
        ]
        for name, row in self.rows.items():
            cells = ["-" if row[column] is None else str(row[column]) for column in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def measure(
    host: Host,
    questions: int,
    *,
    seed: int = 0,
    methods: Sequence[ExplainMethod] = METHODS_COMPARED,
    untrained: Host | None = None,
    progress: Callable[[int], None] | None = None,
) -> Faithfulness:
    """Explain `questions` answers by every method, on scenes that `seed` draws.

    `untrained` is a model of the same kind with random weights, a control that sees nothing.
    """
    asker, scenes = Asker(host), shown_things(seed)
    names = [*methods, "wrong picture", "other boxes", RANDOM, BOXES, CHANCE]
    rows: dict[str, Row] = {name: Row() for name in names}
    blind = None if untrained is None else Asker(untrained)
    rng, missed, area, boxed = np.random.default_rng(seed), 0, list[float](), 0
    before: list[Box] = next(scenes).boxes
    while len(area) < questions:
        shown = next(scenes)
        reader = asker.reader(shown.picture, shown.thing.name)
        if not asker.sees(reader):
            missed += 1
            continue
        inside = touching(reader.regions[0], shown.boxes)
        area.append(float(inside.mean()))
        maps = {method: asker.values(reader, method, shown.thing.name) for method in methods}
        for method, values in maps.items():
            _add(rows[method], asker, reader, values, inside)
            agreed = agreement(values[None], maps["occlusion"][None])
            if method != "occlusion" and agreed is not None:
                rows[method].agreement.append(agreed)
            if len(shown.boxes) == 1:
                found = box_of(
                    shown.picture.size, reader.regions[0].paint(np.clip(values, 0, None))
                )
                rows[method].overlap.append(overlap(found, shown.boxes[0]) if found else 0.0)
        boxed += len(shown.boxes) == 1
        _add(rows[BOXES], asker, reader, _first(inside, rng), inside)
        _add(rows[CHANCE], asker, reader, rng.random(len(inside)).astype(np.float32), inside)
        rows["other boxes"].points.append(
            points(maps[_DEFAULT], touching(reader.regions[0], before))
        )
        wrong = asker.reader(_without(shown, scenes).picture, shown.thing.name)
        values = asker.values(wrong, _DEFAULT, shown.thing.name)
        rows["wrong picture"].points.append(points(values, inside))
        if blind is not None:
            reader = blind.reader(shown.picture, shown.thing.name)
            values = blind.values(reader, _DEFAULT, shown.thing.name)
            rows[RANDOM].points.append(points(values, inside))
        before = shown.boxes
        if progress is not None:
            progress(len(area))
    return Faithfulness(
        name=host.name,
        rows={name: row.figures() for name, row in rows.items()},
        questions=questions,
        missed=missed,
        area=share(torch.tensor(area)),
        boxed=boxed,
    )


def _add(
    row: Row, asker: Asker, reader: AnswerReader, values: Values, inside: NDArray[np.bool_]
) -> None:
    row.points.append(points(values, inside))
    row.box_at_k.append(box_at_k(values, inside))
    deletion, insertion = curves(reader, asker.target, values)
    row.deletion.append(deletion)
    row.insertion.append(insertion)


def _first(inside: NDArray[np.bool_], rng: np.random.Generator) -> Values:
    """A map that has what is inside first, in no order."""
    return (inside + 0.5 * rng.random(len(inside))).astype(np.float32)


def _without(shown: Shown, scenes: Iterator[Shown]) -> Shown:
    """The next scene that the thing isn't in."""
    return next(other for other in scenes if shown.thing.name not in other.scene.names)
