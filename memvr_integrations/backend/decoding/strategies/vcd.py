"""Visual contrastive decoding: a second run sees the pictures through noise."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.logit_rules import Rule
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.backend.decoding.strategies.second_run import against, second_run
from memvr_integrations.backend.hosting.noise import Noise
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.types.decoding import VCDConfig


class VCD(Method[VCDConfig]):
    """`(1 + alpha) l(v) - alpha l(v')`, cut to what is plausible with v."""

    def rule(self, rows: Sequence[Row]) -> AbstractContextManager[Rule]:
        """Let the second run read the same prompts with noisy pictures."""
        noisy = second_run(self.host, rows, [self._noisy(row) for row in rows])
        return nullcontext(against(noisy, self.config, 1 + self.config.alpha))

    def _noisy(self, row: Row) -> list[Picture]:
        # Without a seed the noise is still that of the picture, so that an answer repeats.
        noise = Noise(step=self.config.noise_step, seed=row.job.request.sampling.seed or 0)
        return [replace(picture, noise=noise) for picture in row.job.pictures]
