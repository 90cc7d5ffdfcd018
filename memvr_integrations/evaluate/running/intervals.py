"""95 % intervals, bootstrapped by image: questions about one picture are not independent."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_DRAWS = 1000
_AT_ONCE = 200  # draws held in memory: thousands of images times this


@dataclass(frozen=True)
class Estimate:
    """A figure, mostly in percent, and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"

    def signed(self) -> str:
        """The same as a difference, with its sign."""
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def share(hits: Tensor, total: Tensor | None = None) -> Estimate:
    """The ratio of two sums over images, in percent.

    Shapes: `hits` and `total` (images,); without `total` every image counts once. Negative hits
    make it a paired difference.
    """
    hits = hits.double()
    total = torch.ones_like(hits) if total is None else total.double()
    drawn, whole = resampled_sums(torch.stack([hits, total], 1)).unbind(1)
    low, high = middle(100 * drawn / whole)
    return Estimate(float(100 * hits.sum() / total.sum()), float(low), float(high))


def by_image(values: Tensor, owners: Sequence[int], images: int) -> Tensor:
    """Sums of per-question values over the questions of each image; (images,)."""
    sums = torch.zeros(images, dtype=torch.float64)
    return sums.index_add_(0, torch.tensor(list(owners), dtype=torch.long), values.double())


def resampled_sums(values: Tensor, draws: int = _DRAWS) -> Tensor:
    """Sums over images that are drawn anew, with replacement; always the same draws.

    Shapes: `values` (images, columns); the result (draws, columns).
    """
    generator = torch.Generator().manual_seed(0)
    images, parts = len(values), []
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        drawn = torch.randint(images, (size, images), generator=generator)
        counts = torch.zeros(size, images, dtype=torch.float64)
        counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
        parts.append(counts @ values.double())
    return torch.cat(parts)


def middle(values: Tensor) -> tuple[Tensor, Tensor]:
    """The ends of the middle 95 % of each column, without NaNs; (draws, ...) -> (...) twice."""
    low, high = values.nanquantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    return low, high
