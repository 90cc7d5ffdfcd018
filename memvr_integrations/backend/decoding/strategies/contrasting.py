"""What all methods share that contrast a model with a second stream."""

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.logit_rules import contrast, keep_plausible
from memvr_integrations.backend.decoding.strategies.method import Method, Second
from memvr_integrations.types.decoding import ContrastConfig

Config_co = TypeVar("Config_co", bound=ContrastConfig, covariant=True)


class Contrasting(Method[Config_co]):
    """`(1 + alpha) l - alpha l'`, cut to what is plausible by l; of log-probabilities with `log`.

    With `log` it is `l - alpha l'`.
    """

    log: ClassVar[bool] = False

    def second(self, row: Row) -> Second:
        """The same model, with the row's second prompt."""
        return Second(host=self.host, prompt=row.second_prompt, pictures=row.job.pictures)

    def scores(self, rows: Sequence[Row], own: Tensor, other: Tensor | None) -> Tensor:
        """Contrast with what the second streams say."""
        assert other is not None
        alpha = self.config.alpha
        if self.log:
            mixed = contrast(own, other.log_softmax(-1), 1.0, alpha)
        else:
            mixed = contrast(own, other, 1 + alpha, alpha)
        return keep_plausible(mixed, own, self.config.beta)
