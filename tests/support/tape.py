"""What a CUDA graph does, on a CPU: it repeats work in the same tensors, and nothing of Python."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Made = TypeVar("Made")

aten = torch.ops.aten
# They ask the device for a value, or bring it one of Python's.
_WAITING = {
    aten._local_scalar_dense,
    aten.equal,
    aten.is_nonzero,
    aten.item,
    aten.lift_fresh,
    aten.masked_select,
    aten.nonzero,
    aten.nonzero_numpy,
}
_INDEXING = {aten.index, aten.index_put, aten.index_put_}


class Tape:
    """Records a callable's work as a capture does: numbers stay what they were, tensors where.

    What a stream can't do while it is captured is refused here as well. Captures raise `fails`,
    and replays `breaks`. `tried`, `captured` and `replayed` count.
    """

    def __init__(self, fails: Exception | None = None, breaks: Exception | None = None) -> None:
        self._fails, self._breaks = fails, breaks
        self.tried = self.captured = self.replayed = 0

    def __call__(self, run: Callable[[], Made]) -> Callable[[], Made]:
        self.tried += 1
        run()  # what is made once is made now
        with _Recording() as recording:
            made = run()
            if self._fails is not None:
                raise self._fails
        self.captured += 1

        def replay() -> Made:
            if self._breaks is not None:
                raise self._breaks
            recording.replay()
            self.replayed += 1
            return made

        return replay


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, Sequence[object], dict[str, object], list[Tensor]]] = []

    def __torch_dispatch__(
        self, func: Any, types: object, args: Any = (), kwargs: dict[str, object] | None = None
    ) -> object:
        packet = func.overloadpacket
        masks = packet in _INDEXING and any(
            isinstance(one, Tensor) and one.dtype == torch.bool for one in args[1]
        )
        if packet in _WAITING or masks:
            raise RuntimeError(f"{func} is not permitted when stream is capturing")
        out = func(*args, **(kwargs or {}))
        self._calls.append((func, args, kwargs or {}, _tensors(out)))
        return out

    def replay(self) -> None:
        for func, args, kwargs, made in self._calls:
            for known, anew in zip(made, _tensors(func(*args, **kwargs)), strict=True):
                if known.untyped_storage().data_ptr() != anew.untyped_storage().data_ptr():
                    known.copy_(anew)


def _tensors(out: object) -> list[Tensor]:
    return [one for one in tree_leaves(out) if isinstance(one, Tensor)]
