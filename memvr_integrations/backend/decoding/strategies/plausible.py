"""The cut of contrastive methods alone, a control: what they do without their second stream."""

from collections.abc import Sequence

from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.logit_rules import keep_plausible
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.types.decoding import ContrastConfig


class Plausible(Method[ContrastConfig]):
    """Rule out what the model itself finds implausible."""

    needs_only_logits = True

    def scores(self, rows: Sequence[Row], own: Tensor, other: Tensor | None) -> Tensor:
        """Cut the model's own logits."""
        return keep_plausible(own, own, self.config.beta)
