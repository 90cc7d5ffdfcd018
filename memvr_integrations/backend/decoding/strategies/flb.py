"""First-logit boosting: the logits of an answer's first token are added to those of all later."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.logit_rules import (
    Rule,
    contrast,
    keep_plausible,
)
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.types.decoding import FLBConfig


class FLB(Method[FLBConfig]):
    """`l_t + alpha (1 - exp(-rate t)) l_0`, cut to what is plausible by l_t."""

    needs_only_logits = True

    def rule(self, rows: Sequence[Row]) -> AbstractContextManager[Rule]:
        """Keep the first token's logits, and count the tokens."""
        config = self.config
        first: Tensor | None = None
        token = 0

        def boost(ids: Tensor, own: Tensor) -> Tensor:
            nonlocal first, token
            first = own if first is None else first
            grown = config.alpha * (1 - math.exp(-config.rate * token))
            boosted = contrast(own, first, 1.0, -grown)
            token += 1
            return keep_plausible(boosted, own, config.beta)

        return nullcontext(boost)
