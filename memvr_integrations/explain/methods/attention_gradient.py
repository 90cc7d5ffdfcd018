"""Attention x gradient: how much the weights on visual tokens speak for a score.

Of each layer, head and text position after the pictures, `max(a * ds/da, 0)`, averaged over heads
and summed over layers and positions (after Chefer, Gur and Wolf, ICCV 2021, without their rollout).
"""

from collections.abc import Sequence

from torch import Tensor

from memvr_integrations.explain.methods.method import Found, Slice
from memvr_integrations.explain.methods.tracing import attention_traced
from memvr_integrations.explain.reading import Reader, Target
from memvr_integrations.explain.replay import Replay


def attention_gradient(
    reader: Reader, targets: Sequence[Target], replay: Replay | None, found: Found
) -> list[Slice]:
    """Slices of work that fill `found`: one to read, one a target. Never negative."""
    return attention_traced(reader, targets, replay, found, _rule)


def _rule(weights: Tensor, gradients: Tensor) -> Tensor:
    return (weights * gradients).clamp_min(0)
