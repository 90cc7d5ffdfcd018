"""Ways to lay hands on the bundled model while a backend runs it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from memvr_integrations.backend import Backend

END = 2


class Endless:
    """While attached, a model never ends an answer by itself, and `forwards` counts its passes."""

    def __init__(self) -> None:
        self.forwards = 0
        self.held = False  # in a forward, by `waiting.held_at`
        self.rows: list[int] = []
        self.before: Callable[[int], None] = lambda rows: None

    def __call__(self, module: object, args: object, out: object) -> object:
        logits = out.logits  # type: ignore[attr-defined]
        self.before(len(logits))
        self.forwards += 1
        self.rows.append(len(logits))
        logits[..., END] = -torch.inf
        return out


@contextmanager
def attached(backend: Backend, hook: Callable[..., object]) -> Iterator[None]:
    handle = backend._host.model.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
