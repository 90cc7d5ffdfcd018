"""What a model reads: pictures that were decoded, and a conversation that was tokenised."""

from dataclasses import dataclass

import PIL.Image
from torch import Tensor

from memvr_integrations.backend.hosting.noise import Noise


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded image, the hash of its pixels, and the noise through which it is to be seen."""

    image: PIL.Image.Image
    hash: str
    noise: Noise | None = None


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A tokenised conversation; every tensor of `inputs` has one row.

    `room` is how many tokens its model can still read behind it.
    """

    inputs: dict[str, Tensor]
    image_tokens: int
    room: int

    @property
    def length(self) -> int:
        """Tokens, image tokens included."""
        return int(self.inputs["input_ids"].shape[1])
