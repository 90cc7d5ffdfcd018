"""Visual contrastive decoding: a second run sees the pictures through noise."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from memvr_integrations.backend.decoding.inputs import batch_inputs
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.rule import Rule
from memvr_integrations.backend.decoding.strategies.stream import Stream, against
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.noise import Noise
from memvr_integrations.backend.hosting.prompts import Picture
from memvr_integrations.types.decoding import VCDConfig


@contextmanager
def vcd(host: Host, rows: Sequence[Row], config: VCDConfig) -> Iterator[Rule]:
    """`(1 + alpha) l(v) - alpha l(v')`, cut to what is plausible with v."""
    prompts = [row.prompt for row in rows]
    noisy = [_noisy(row, config.noise_step) for row in rows]
    stream = Stream(host, batch_inputs(host, prompts, noisy), max(row.most for row in rows))
    yield against(stream, config, 1 + config.alpha)


def _noisy(row: Row, step: int) -> list[Picture]:
    # Without a seed the noise is still that of the picture, so that an answer repeats.
    noise = Noise(step=step, seed=row.job.request.sampling.seed or 0)
    return [replace(picture, noise=noise) for picture in row.job.pictures]
