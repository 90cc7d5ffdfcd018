"""The control "yes-bias": a constant on the first token of a yes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.rule import Rule
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.types.decoding import YesBiasConfig


@contextmanager
def yes_bias(host: Host, rows: Sequence[Row], config: YesBiasConfig) -> Iterator[Rule]:
    """Add `bias` to the logits of all tokens that say yes, at an answer's first token.

    Raises:
        UnsupportedModelError: No token of this model says yes.
    """
    yes = yes_tokens(host)
    first = True

    def rule(ids: Tensor, own: Tensor) -> Tensor:
        nonlocal first
        if not first:
            return own
        first = False
        biased = own.clone()
        biased[:, yes] += config.bias
        return biased

    yield rule


def yes_tokens(host: Host) -> list[int]:
    """The tokens with which an answer that says yes may begin."""
    begins = {ids[0] for word in ("Yes", "yes", "YES") for ids in host.spellings(word)}
    found = [t for t in sorted(begins) if str(host.tokenizer.decode([t])).strip().lower() == "yes"]
    if not found:
        raise UnsupportedModelError(
            f"No token of {host.name} says yes, so decoding='yes-bias' has nothing to raise. "
            "Leave that control out for this model."
        )
    return found
