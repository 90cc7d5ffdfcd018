"""Reading the attention weights of one layer while the model runs as it always does."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from memvr_integrations.errors import UnsupportedModelError

_NAME = "memvr_watched"
_watches: WeakKeyDictionary[nn.Module, "AttentionWatch"] = WeakKeyDictionary()


class AttentionWatch:
    """The weights of the newest position in the newest forward pass."""

    def __init__(self, name: str) -> None:
        self._name, self.inner = name, ""
        self._weights: Tensor | None = None

    def note(self, weights: Tensor) -> None:
        """Keep the last position of weights (rows, heads, positions, keys)."""
        self._weights = weights[:, :, -1].float()

    def take(self) -> Tensor:
        """The weights (rows, heads, keys) in float32.

        Raises:
            UnsupportedModelError: The layer's attention could not be read.
        """
        if self._weights is None:
            raise UnsupportedModelError(
                f"The attention of {self._name}'s last layer can't be read, and decoding='opera' "
                "goes by it. Choose another strategy."
            )
        weights, self._weights = self._weights, None
        return weights


@contextmanager
def watched(attention: nn.Module, name: str) -> Iterator[AttentionWatch]:
    """Watch a self-attention module; its output stays the same to the last bit.

    An eager one hands out its weights; for the others they are computed as well.
    """
    watch, before = AttentionWatch(name), getattr(attention, "config", None)
    implementation = getattr(before, "_attn_implementation", "eager")

    def note(module: nn.Module, args: object, out: object) -> None:
        if isinstance(out, tuple) and len(out) > 1 and isinstance(out[1], Tensor):
            watch.note(out[1])

    if implementation == "eager":
        handle = attention.register_forward_hook(note)
        try:
            yield watch
        finally:
            handle.remove()
        return
    config = copy.copy(before)
    vars(config)["_attn_implementation_internal"] = _NAME
    watch.inner, _watches[attention] = implementation, watch
    attention.config = config  # type: ignore[assignment]
    try:
        yield watch
    finally:
        attention.config = before  # type: ignore[assignment]
        del _watches[attention]


def _watching(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: object,
) -> tuple[Tensor, Tensor | None]:
    """The attention that would have run, and its weights where one position asks."""
    watch = _watches[module]
    if query.shape[2] == 1:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        keys = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        scores = (query.float() @ keys.float().mT) * scale
        watch.note(torch.softmax(scores, -1))
    run: Callable[..., tuple[Tensor, Tensor | None]] = ALL_ATTENTION_FUNCTIONS[watch.inner]
    return run(module, query, key, value, attention_mask, scaling=scaling, **options)


ALL_ATTENTION_FUNCTIONS.register(_NAME, _watching)
