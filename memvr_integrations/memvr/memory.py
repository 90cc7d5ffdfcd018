"""The visual memory of a batch: each row's projected visual tokens, of all its images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from memvr_integrations.errors import ConfigError


@dataclass(frozen=True, kw_only=True, eq=False)
class VisualMemory:
    """Visual tokens of every row, padded with zeros to one length.

    Args:
        features: (rows, tokens, dim), zeros after a row's own tokens.
        images: Per row, the number of tokens of each of its images, in prompt order. A family
            that cuts an image into tiles has one number a tile.
    """

    features: Tensor
    images: tuple[tuple[int, ...], ...]

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[Tensor]]) -> Self:
        """Build a memory from each row's images, a tensor (tokens, dim) an image.

        Raises:
            ConfigError: No row has an image, or the images differ in width.
        """
        known = [image for row in rows for image in row]
        if len({image.shape[-1] for image in known}) != 1:
            raise ConfigError(
                f"A visual memory needs images of one width, not of "
                f"{sorted({image.shape[-1] for image in known})}; pass at least one image."
            )
        images = tuple(tuple(image.shape[0] for image in row) for row in rows)
        longest = max(sum(row) for row in images)
        features = known[0].new_zeros(len(rows), longest, known[0].shape[-1])
        for padded, row in zip(features, rows, strict=True):
            if row:
                own = torch.cat([image.to(features) for image in row])
                padded[: own.shape[0]] = own
        return cls(features=features, images=images)

    @classmethod
    def empty(cls, rows: int, device: torch.device) -> Self:
        """Return the memory of rows that have no image."""
        return cls(features=torch.zeros(rows, 0, 0, device=device), images=((),) * rows)

    @classmethod
    def from_placeholders(cls, images: Sequence[Tensor], counts: Sequence[int]) -> Self:
        """Deal out a batch's images to its rows by each row's number of image tokens.

        Args:
            images: Tensors (..., dim) in the order of their placeholders in the batch.
            counts: Image tokens in each row's prompt.

        Raises:
            ConfigError: The images have more or fewer tokens than the rows.
        """
        flat = [image.reshape(-1, image.shape[-1]) for image in images]
        available = sum(image.shape[0] for image in flat)
        if available != sum(counts):
            raise ConfigError(
                f"The images have {available} visual tokens, the prompts {sum(counts)} image "
                "tokens; they must be equal. Expand each image's placeholder to its tokens."
            )
        rows: list[list[Tensor]] = []
        for count in counts:
            row: list[Tensor] = []
            while count:
                head, rest = flat[0][:count], flat[0][count:]
                row.append(head)
                count -= head.shape[0]
                flat[:1] = [rest] if rest.shape[0] else []
            rows.append(row)
        return cls.from_rows(rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.images)

    @property
    def tokens(self) -> Tensor:
        """The number of visual tokens of each row, (rows,)."""
        return torch.tensor([sum(row) for row in self.images], device=self.features.device)

    @property
    def mean_abs(self) -> Tensor:
        """The mean magnitude of each row's own features, (rows,) float32."""
        total = self.features.float().abs().sum((1, 2))
        return total / (self.tokens * self.features.shape[-1]).clamp_min(1)

    @property
    def usable(self) -> Tensor:
        """Which rows have evidence to give: features, finite and not all zero. (rows,) bool."""
        return self.mean_abs.isfinite() & (self.mean_abs > 0)

    def select(self, rows: Sequence[int]) -> Self:
        """Return the memory of some rows, in the order given; a row may come more than once."""
        index = torch.tensor(list(rows), dtype=torch.long, device=self.features.device)
        images = tuple(self.images[row] for row in rows)
        # What no row needs any more would only be multiplied as zeros.
        longest = max(map(sum, images), default=0)
        return type(self)(features=self.features[index, :longest], images=images)

    def repeat(self, times: int) -> Self:
        """Return each row `times` times in succession, as beams and returned sequences lie."""
        return self.select([row for row in range(len(self)) for _ in range(times)])

    def join(self, other: Self) -> Self:
        """Return a memory with the rows of another after one's own."""
        features = [memory.features for memory in (self, other)]
        longest = max(one.shape[1] for one in features)
        wide = max(features, key=lambda one: one.shape[2])
        padded = [
            wide.new_zeros(len(one), longest, wide.shape[2])
            if one.shape[1] == 0
            else pad(one, (0, 0, 0, longest - one.shape[1]))
            for one in features
        ]
        return type(self)(features=torch.cat(padded), images=self.images + other.images)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the memory on a device and in a dtype."""
        return type(self)(features=self.features.to(device, dtype), images=self.images)
