"""Route: what attention carried from each visual token to the text, signed.

Of each layer, head and text position after the pictures, `a <value, ds/dout>`: to first order, the
change of a score were the token's value not there. Averaged over heads, summed over the rest.
"""

from collections.abc import Sequence

from torch import Tensor

from memvr_integrations.explain.methods.method import Found, Slice
from memvr_integrations.explain.methods.tracing import attention_traced
from memvr_integrations.explain.reading import Reader, Target
from memvr_integrations.explain.replay import Replay


def route(
    reader: Reader, targets: Sequence[Target], replay: Replay | None, found: Found
) -> list[Slice]:
    """Slices of work that fill `found`: one to read, one a target. Of either sign."""
    return attention_traced(reader, targets, replay, found, _rule)


def _rule(weights: Tensor, gradients: Tensor) -> Tensor:
    return weights * gradients
