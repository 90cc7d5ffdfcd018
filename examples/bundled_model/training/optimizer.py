"""Muon for matrices, AdamW for the rest: fewer pictures than AdamW alone for the same sight.

Muon (Jordan 2024; the step's size after Liu et al. 2025, arXiv:2502.16982) replaces a matrix's
momentum by the nearest orthogonal matrix, so that every direction learns at the same speed.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

_MOMENTUM = 0.95
_ROUNDS = 5
# A quintic whose repeated use drives singular values to about one.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_PLAIN_SHARE = 0.4  # AdamW's rate as a share of Muon's


def orthogonalize(matrix: Tensor, kind: torch.dtype = torch.bfloat16) -> Tensor:
    """The nearest orthogonal matrix, roughly: singular values come out between .7 and 1.2.

    `kind` is what it is computed in; bfloat16 is precise enough.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(kind)
    x = x / (x.norm() + 1e-7)
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    result: Tensor = (x.T if tall else x).float()
    return result


class MuonAdamW:
    """One optimizer of both kinds; in a distributed run each process does a share of Muon's work.

    `matrices` are stepped by Muon, `others` by AdamW (which also suits embeddings and heads).
    `shares` says for each matrix by which share of the rate it is stepped; all of it by default.
    `kind` is what matrices are made orthogonal in.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        shares: list[float] | None = None,
        weight_decay: float = 0.03,
        kind: torch.dtype = torch.bfloat16,
    ) -> None:
        self._matrices, self._decay, self._kind = list(matrices), weight_decay, kind
        self._shares = shares or [1.0] * len(self._matrices)
        self._momenta = [torch.zeros_like(matrix) for matrix in self._matrices]
        self._plain = torch.optim.AdamW(others, weight_decay=weight_decay, betas=(0.9, 0.98))

    @property
    def parameters(self) -> list[Tensor]:
        """All that is optimised."""
        return [*self._matrices, *self._plain.param_groups[0]["params"]]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move all parameters along their gradients."""
        self._plain.param_groups[0]["lr"] = rate * _PLAIN_SHARE
        self._plain.step()
        updates = self._updates()
        for matrix, update, share in zip(self._matrices, updates, self._shares, strict=True):
            size = 0.2 * max(matrix.shape[0], matrix[0].numel()) ** 0.5
            matrix.mul_(1 - rate * share * self._decay).add_(update, alpha=-rate * share * size)

    def _updates(self) -> list[Tensor]:
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        updates = []
        for index, (matrix, momentum) in enumerate(zip(self._matrices, self._momenta, strict=True)):
            assert matrix.grad is not None, "a matrix got no gradient"
            momentum.lerp_(matrix.grad, 1 - _MOMENTUM)
            ahead = matrix.grad.lerp(momentum, _MOMENTUM)  # Nesterov's look ahead
            mine = index % world == rank
            updates.append(
                orthogonalize(ahead.flatten(1), self._kind).view_as(ahead)
                if mine
                else torch.zeros_like(ahead)
            )
        if world > 1:
            flat = torch.cat([update.flatten() for update in updates])
            dist.all_reduce(flat)
            parts = flat.split([update.numel() for update in updates])
            return [part.view_as(update) for part, update in zip(parts, updates, strict=True)]
        return updates

    def state_dict(self) -> dict[str, object]:
        """What `load_state_dict` needs to go on."""
        return {"momenta": self._momenta, "plain": self._plain.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from a saved state."""
        saved = state["momenta"]
        assert isinstance(saved, list)
        for momentum, value in zip(self._momenta, saved, strict=True):
            momentum.copy_(value)
        self._plain.load_state_dict(state["plain"])  # type: ignore[arg-type]
