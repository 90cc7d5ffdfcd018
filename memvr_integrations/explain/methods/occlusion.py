"""Occlusion: how much a score falls when a part of a picture is hidden.

A window of three by three cells moves over each picture, of at most 64 cells; what is hidden is
replaced by the picture's mean visual token, in every layer where it comes in. A visual token's
value is the mean fall over the windows that it is in. No gradients, so it works on any model.
Where visual tokens aren't patches, the window is painted over with the picture's mean colour.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from memvr_integrations.explain.maps import Map
from memvr_integrations.explain.methods.method import Found, Slice
from memvr_integrations.explain.reading import Reader, Target, Visual
from memvr_integrations.explain.replay import Replay

MOST_CELLS = 64
_TOGETHER = 8  # readings in one slice


def occlusion(
    reader: Reader, targets: Sequence[Target], replay: Replay | None, found: Found
) -> list[Slice]:
    """Slices of work that fill `found`: one plain reading, then eight windows each. Of any sign."""
    hidden = [one for image in range(len(reader.spans)) for one in _windows(reader, image)]
    sums = {target.place: _Sums(reader) for target in targets}

    @torch.no_grad()
    def read(rows: Sequence[Visual]) -> Tensor:
        if replay is None:
            return reader.logits(rows)
        with replay.acting():
            return reader.logits(rows)

    def plain() -> None:
        logits = read([reader.visual])
        for target in targets:
            found.scores[target.place] = float(target.score(logits)[0])

    def hide(some: Sequence[_Window]) -> None:
        logits = read([one.visual(reader) for one in some])
        for target in targets:
            before = found.scores[target.place]
            for one, score in zip(some, target.score(logits).tolist(), strict=True):
                sums[target.place].add(one, before - score)

    def add_up() -> None:
        for place, one in sums.items():
            found.values[place], found.painted[place] = one.values, one.painted

    some = [hidden[start : start + _TOGETHER] for start in range(0, len(hidden), _TOGETHER)]
    return [plain, *(functools.partial(hide, one) for one in some), add_up]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """A part of a picture: a box in its pixels, and in rows and columns of cells."""

    image: int
    box: tuple[float, float, float, float]
    cells: tuple[slice, slice]
    grid: tuple[int, int]
    gone: Tensor | None  # (tokens,) bool; None where tokens lie nowhere

    def visual(self, reader: Reader) -> Visual:
        """What the pictures are without it."""
        if self.gone is None:
            return reader.covered(self.image, self.box)
        return reader.visual.without(self.gone, reader.spans)


class _Sums:
    """The mean fall over all windows that a visual token, or a cell, is in."""

    def __init__(self, reader: Reader) -> None:
        self._falls = torch.zeros(2, len(reader.visual.tokens))
        self._cells: dict[int, Map] = {}

    def add(self, window: _Window, fall: float) -> None:
        one = torch.tensor([[fall], [1.0]])
        if window.gone is not None:
            self._falls[:, window.gone] += one
            return
        cells = self._cells.setdefault(window.image, np.zeros((2, *window.grid), np.float32))
        cells[:, *window.cells] += one[:, :, None].numpy()

    @property
    def values(self) -> Tensor:
        return self._falls[0] / self._falls[1].clamp_min(1)

    @property
    def painted(self) -> dict[int, Map]:
        return {at: fall / np.maximum(count, 1) for at, (fall, count) in self._cells.items()}


def cells(size: tuple[int, int], most: int = MOST_CELLS) -> tuple[int, int]:
    """(rows, columns) of about square cells, at most `most` of them, for a (width, height)."""
    width, height = size
    columns = min(max(round(math.sqrt(most * width / height)), 1), most)
    return max(min(most // columns, math.ceil(columns * height / width)), 1), columns


def _windows(reader: Reader, image: int) -> Iterator[_Window]:
    """Windows of three by three cells around each cell of a picture."""
    regions, (start, end) = reader.regions[image], reader.spans[image]
    (rows, columns), (width, height) = cells(regions.size), regions.size
    for row, column in itertools.product(range(rows), range(columns)):
        down = slice(max(row - 1, 0), min(row + 2, rows))
        across = slice(max(column - 1, 0), min(column + 2, columns))
        box = (
            across.start / columns * width,
            down.start / rows * height,
            across.stop / columns * width,
            down.stop / rows * height,
        )
        gone = None
        if regions.patches:
            gone = torch.zeros(len(reader.visual.tokens), dtype=torch.bool)
            gone[start:end] = torch.from_numpy(regions.middle_in(box))
            if not gone.any():
                continue
        yield _Window(image=image, box=box, cells=(down, across), grid=(rows, columns), gone=gone)
