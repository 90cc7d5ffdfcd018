"""First-logit boosting: the logits of an answer's first token are added to those of all later."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.logit_rules import contrast, keep_plausible
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.types.decoding import FLBConfig


class FLB(Method[FLBConfig]):
    """`l_t + alpha (1 - exp(-rate t)) l_0`, cut to what is plausible by l_t."""

    needs_only_logits = True

    def scores(self, rows: Sequence[Row], own: Tensor, other: Tensor | None) -> Tensor:
        """Keep each row's first logits, and add them to all later ones."""
        config = self.config
        for row, now in zip(rows, own, strict=True):
            if row.length == 0:
                row.carried["first"] = now.clone()
        first = torch.stack([row.carried["first"] for row in rows])
        grown = [config.alpha * (1 - math.exp(-config.rate * row.length)) for row in rows]
        push = -torch.tensor(grown, device=own.device)[:, None]
        return keep_plausible(contrast(own, first, 1.0, push), own, config.beta)
