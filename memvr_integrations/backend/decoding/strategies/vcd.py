"""Visual contrastive decoding: a second stream sees the pictures through noise."""

from dataclasses import replace

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.contrasting import Contrasting
from memvr_integrations.backend.decoding.strategies.method import Second
from memvr_integrations.backend.hosting.noise import Noise
from memvr_integrations.types.decoding import VCDConfig


class VCD(Contrasting[VCDConfig]):
    """`(1 + alpha) l(v) - alpha l(v')`, cut to what is plausible with v."""

    def second(self, row: Row) -> Second:
        """The same prompt with noisy pictures."""
        # Without a seed the noise is still that of the picture, so that an answer repeats.
        noise = Noise(step=self.config.noise_step, seed=row.job.request.sampling.seed or 0)
        noisy = [replace(picture, noise=noise) for picture in row.job.pictures]
        return replace(super().second(row), pictures=noisy)
