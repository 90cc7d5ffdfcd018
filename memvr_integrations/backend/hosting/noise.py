"""Diffusion noise on a picture's pixels, the same each time for the same picture and seed."""

import functools
import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The forward process of a diffusion, from its first step through `step`."""

    step: int
    seed: int

    @property
    def key(self) -> str:
        """What sets the features of such a picture apart from those of others."""
        return f" noise {self.step} {self.seed}"

    def on(self, pixels: Tensor, picture: str) -> Tensor:
        """`sqrt(abar) x + sqrt(1 - abar) eps`, with eps sampled for the hash of a picture.

        It is sampled on the CPU, so that every device sees the same noise.
        """
        digest = hashlib.sha256(f"{self.seed} {picture}".encode()).digest()
        random = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        sampled = torch.randn(pixels.shape, generator=random).to(pixels.device)
        kept = kept_share(self.step)
        noisy: Tensor = kept**0.5 * pixels.float() + (1 - kept) ** 0.5 * sampled
        return noisy.to(pixels.dtype)


@functools.cache
def kept_share(step: int) -> float:
    """abar: how much of the picture's variance is left after a step, counted from 0."""
    ramp = torch.linspace(-6, 6, _STEPS, dtype=torch.float64).sigmoid()
    betas = ramp * (0.5e-2 - 1e-5) + 1e-5
    return float((1 - betas[: step + 1]).prod())
