"""MemVR's decisions of an answer that was given, acting again in a forward over all of it.

Nothing is probed: what triggered is known. So gradients pass, and a prompt and its answer are read
in one pass each.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from memvr_integrations.memvr import MemVRConfig, dampen, retrace
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.memvr.arming.calls import states_in
from memvr_integrations.memvr.config import Activation
from memvr_integrations.memvr.memory import VisualMemory


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """What MemVR did in an answer.

    Args:
        config: The settings.
        triggers: By forward pass, the prompt's and then each token's, the layer that triggered.
        entropies: By forward pass, the entropy that did.
        length: The prompt's tokens.
        evidence: (tokens, dim), what is retraced: the pictures' visual tokens.
    """

    config: MemVRConfig
    triggers: Sequence[int | None]
    entropies: Sequence[float | None]
    length: int
    evidence: Tensor

    def ratio(self, number: int) -> float:
        """How much of an FFN's output is evidence, in a forward that triggered."""
        entropy = self.entropies[number]
        if not self.config.dynamic_ratio or entropy is None:
            return self.config.retracing_ratio
        return min(max(2 * (entropy - self.config.entropy_threshold), 0.0), 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Retraced:
    """One retracing that was replayed: a position of its own, or all of the prompt.

    Shapes: `hidden` (the FFN's input), `plain` (its output) and `mixed` (what was made of it) are
    (rows, positions, dim); `visual` (tokens, dim); `gain` (1,).
    """

    hidden: Tensor
    plain: Tensor
    mixed: Tensor
    visual: Tensor
    gain: Tensor
    ratio: float


class Replay:
    """Retraces as it was decided; `done` has what the last reading retraced."""

    def __init__(self, model: nn.Module, decisions: Decisions) -> None:
        """Lay out what is retraced where.

        Raises:
            UnsupportedModelError: The model lacks a part that MemVR needs.
        """
        self._anatomy, self._decisions = find_anatomy(model), decisions
        memory = VisualMemory.from_rows([[decisions.evidence]])
        self._visual = memory.features
        self._mean = memory.mean_abs.clamp_min(torch.finfo(torch.float32).tiny)
        self._due: dict[int, list[int]] = {}
        for number, layer in enumerate(decisions.triggers):
            if layer is not None:
                self._due.setdefault(layer + 1, []).append(number)
        self._calls: Counter[int] = Counter()
        self.done: list[Retraced] = []

    @property
    def activation(self) -> Activation | None:
        """The formula's phi."""
        return self._decisions.config.activation

    @contextmanager
    def acting(self) -> Iterator["Replay"]:
        """Within the `with`, readings of the prompt and then of the answer are retraced."""
        handles = [
            self._anatomy.ffns[layer].register_forward_hook(functools.partial(self._mix, layer))
            for layer in self._due
        ]
        self._calls.clear()
        self.done.clear()
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _mix(self, layer: int, module: nn.Module, args: tuple[object, ...], out: object) -> object:
        plain, hidden, numbers = states_in(out, module), states_in(args, module), self._due[layer]
        # An answer of one token is never read itself: all that counts is what follows the prompt.
        forwards = 1 if len(self._decisions.triggers) == 1 else 2
        prompt = self._calls[layer] % forwards == 0
        self._calls[layer] += 1
        if prompt:
            mixed = self._prompt(layer, hidden, plain) if 0 in numbers else plain
        else:
            places = {number - 1: number for number in numbers if number}
            mixed = torch.cat(
                [
                    self._blend(layer, places[at], hidden[:, at : at + 1], plain[:, at : at + 1])
                    if at in places
                    else plain[:, at : at + 1]
                    for at in range(plain.shape[1])
                ],
                1,
            )
        return (mixed, *out[1:]) if isinstance(out, tuple) else mixed

    def _prompt(self, layer: int, hidden: Tensor, plain: Tensor) -> Tensor:
        if self._decisions.config.scope == "all":
            return self._blend(layer, 0, hidden, plain)
        last = self._blend(layer, 0, hidden[:, -1:], plain[:, -1:])
        return torch.cat([plain[:, :-1], last], 1)

    def _blend(self, layer: int, number: int, hidden: Tensor, plain: Tensor) -> Tensor:
        config, rows, device = self._decisions.config, len(plain), plain.device
        strength = self._decisions.ratio(number)
        ratio = torch.full((rows,), strength, device=device)
        if config.control == "damping":
            return dampen(plain, ratio)
        visual, gain = self._visual.to(device), self._gain(layer).to(device)
        mixed = retrace(
            hidden,
            plain,
            visual.expand(rows, -1, -1),
            ratio,
            gain=gain.expand(rows),
            activation=config.activation,
        )
        self.done.append(
            Retraced(
                hidden=hidden, plain=plain, mixed=mixed, visual=visual[0], gain=gain, ratio=strength
            )
        )
        return mixed

    def _gain(self, layer: int) -> Tensor:
        """The factor on the visual tokens, as a `Plan` has it: (1,)."""
        if self._decisions.config.activation is None:
            return 1 / (self._mean * math.sqrt(self._visual.shape[-1]))
        gain: Tensor = self._anatomy.magnitude(layer).to(self._mean.device) / self._mean
        return gain
