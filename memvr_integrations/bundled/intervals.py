"""95 % intervals, bootstrapped by image: questions about one picture are not independent."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_DRAWS = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure in percent and its 95 % interval."""

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
    weights = _resampled(len(hits))
    values = 100 * (weights @ hits) / (weights @ total)
    low, high = values.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Estimate(float(100 * hits.sum() / total.sum()), low, high)


def by_image(values: Tensor, owners: Sequence[int], images: int) -> Tensor:
    """Sums of per-question values over the questions of each image; (images,)."""
    sums = torch.zeros(images, dtype=torch.float64)
    return sums.index_add_(0, torch.tensor(list(owners)), values.double())


def _resampled(images: int) -> Tensor:
    """How often each image is drawn in each resampling; (draws, images)."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(images, (_DRAWS, images), generator=generator)
    counts = torch.zeros(_DRAWS, images, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
