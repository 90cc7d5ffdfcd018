"""Retracing: what the visual tokens that MemVR blended into FFNs gave to a score, signed.

Token z of a retracing adds `ratio c phi(x.z) z` to an FFN's output: to first order, a score gets
`ratio c phi(x.z) <z, ds/dout>` of it. That is MemVR's own part alone: most of what an answer has of
a picture came in through attention, so this map doesn't say where the answer came from.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from memvr_integrations.errors import ConfigError
from memvr_integrations.explain.methods.method import Found, Slice
from memvr_integrations.explain.methods.tracing import read_with_gradients
from memvr_integrations.explain.reading import Reader, Target
from memvr_integrations.explain.replay import Replay, Retraced
from memvr_integrations.memvr.formula import activated


def retracing(
    reader: Reader, targets: Sequence[Target], replay: Replay | None, found: Found
) -> list[Slice]:
    """Slices of work that fill `found`: one to read, one a target.

    Raises:
        ConfigError: MemVR is off, so it gave nothing.
    """
    if replay is None:
        raise ConfigError(
            "method='retracing' shows what MemVR blended in, and MemVR was off; ask with memvr "
            "set, or explain with method='attention_gradient'."
        )
    held: list[Tensor] = []

    def read() -> None:
        held.append(read_with_gradients(reader, replay))

    def trace(target: Target) -> None:
        score = target.score(held[0])[0]
        found.scores[target.place] = float(score.detach())
        done, total = replay.done, torch.zeros(len(reader.visual.tokens))
        if done:
            gradients = torch.autograd.grad(
                score, [one.mixed for one in done], retain_graph=True, allow_unused=True
            )
            for one, gradient in zip(done, gradients, strict=True):
                if gradient is not None:
                    total += _given(one, gradient, replay).cpu()
        found.values[target.place] = total

    return [read, *(functools.partial(trace, target) for target in targets)]


@torch.no_grad()
def _given(one: Retraced, gradient: Tensor, replay: Replay) -> Tensor:
    """What each visual token gave in one retracing, (tokens,) float32."""
    visual, hidden = one.visual.float(), one.hidden[0].float()
    match = activated(replay.activation, (hidden * one.gain.float()) @ visual.mT)
    evidence = match @ visual
    scale = one.plain[0].float().abs().sum() / evidence.abs().sum()
    return one.ratio * scale * (match * (gradient[0].float() @ visual.mT)).sum(0)
