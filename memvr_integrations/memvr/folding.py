"""A decoder's final norm folded into the rows of its head, where the norm is a mere scaling."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

_MAGNITUDES = (1e-2, 1.0, 1e2)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScalingNorm:
    """A norm that divides a state by its root mean square and multiplies it with `gains`, (dim,).

    So a head with the gains in its weights says the same of a state that was not normed, up to the
    state's scale.
    """

    gains: Tensor
    epsilon: float

    @classmethod
    def of(cls, norm: nn.Module, dim: int) -> Self | None:
        """Read a norm over `dim` values by what it does; None where it is of another kind."""
        epsilon = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
        weight = next(norm.parameters(), None)
        if not isinstance(epsilon, float) or weight is None or weight.dtype != torch.float32:
            return None
        if weight.is_meta or weight.shape != (dim,):
            return None
        with torch.no_grad():
            gains = norm(torch.ones_like(weight)) * (1 + epsilon) ** 0.5
            scaling = cls(gains=gains, epsilon=epsilon)
            state = torch.linspace(-1, 1, dim).to(weight.device).roll(dim // 3)
            for magnitude in _MAGNITUDES:
                tried = magnitude * state[None]
                if not torch.allclose(norm(tried), scaling(tried), rtol=1e-4, atol=1e-6):
                    return None
        return scaling

    def __call__(self, states: Tensor) -> Tensor:
        """Norm states (..., dim)."""
        return states * self.scales(states) * self.gains

    def scales(self, states: Tensor) -> Tensor:
        """What each of some states (..., dim) is multiplied with beside the gains, (..., 1)."""
        return (states.square().mean(-1, keepdim=True) + self.epsilon).rsqrt()
