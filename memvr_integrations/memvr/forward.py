"""One forward pass: probe its layers, decide row by row, retrace the FFN after a trigger."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from memvr_integrations.errors import ArmingError
from memvr_integrations.memvr.config import MemVRConfig, Scope
from memvr_integrations.memvr.formula import LayerFormula
from memvr_integrations.memvr.plan import Plan
from memvr_integrations.memvr.probes import Probe
from memvr_integrations.memvr.trace import NOT_PROBED, NOT_TRIGGERED, Record
from memvr_integrations.memvr.uncertainty import decide


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """What all forward passes of one arming share.

    Args:
        config: The settings that all rows share.
        norm: The decoder's final norm; None where the probe has it in itself.
        probe: From hidden states to entropies.
        sync_free: Never wait for the device: probe every layer and retrace every FFN of the
            window, and pick the result a row. The other form waits once a probe and skips what it
            can.
        keep_where: Keep where in the images each retracing found its evidence.
    """

    config: MemVRConfig
    norm: nn.Module | None
    probe: Probe
    sync_free: bool = False
    keep_where: bool = False


class Layout(Protocol):
    """How the positions of one forward pass lie in its tensors: a `Frame` or a `Packed`."""

    @property
    def decisions(self) -> int:
        """How many decisions each row takes in this forward."""

    @property
    def prompt(self) -> int:
        """How many columns end a prompt."""

    def deciding(self, states: Tensor) -> Tensor:
        """Pick the deciding positions, (rows, decisions, dim)."""

    def retraced(
        self,
        hidden: Tensor,
        ffn_out: Tensor,
        triggered: Tensor,
        formula: LayerFormula,
        scope: Scope,
    ) -> Tensor:
        """Return an FFN's output, retraced where a decision triggered."""


class Pass:
    """The decisions of one forward pass, made as its layers run."""

    def __init__(self, method: Method, plan: Plan, layout: Layout) -> None:
        """Start before the first layer."""
        self._method = method
        self._plan = plan
        self._layout = layout
        shape = (plan.able.shape[0], layout.decisions)
        device = plan.able.device
        one = layout.decisions == 1
        self._waiting = plan.able if one else plan.able.expand(shape)
        self._triggers: Tensor | None = None
        self._ratios = plan.ratios if one else plan.ratios.expand(shape)
        self._where: Tensor | None = None
        if method.keep_where:
            tokens = plan.memory.features.shape[1]
            self._where = torch.zeros(*shape, tokens, device=device)
        self._entropies: dict[int, Tensor] = {}
        self._triggered: Tensor | None = None
        self._done = False
        self._missed = False
        method.probe.begin()

    def probe(self, layer: int, hidden: Tensor) -> None:
        """Probe after `layer`, with `hidden` the residual that it left, as the layout has it.

        Raises:
            ArmingError: The layout has other rows than the plan.
        """
        self._missed = self._missed or self._triggered is not None
        self._triggered = None
        eligible = self._plan.eligible.get(layer)
        if eligible is None or self._done:
            return
        method, thresholds = self._method, self._plan.thresholds
        states = self._states(self._layout.deciding(hidden))
        waiting = self._waiting if self._plan.even else self._waiting & eligible
        entropy = method.probe(states, thresholds, waiting, self._plan.first[layer])
        entropy = entropy.to(thresholds.device)
        self._entropies[layer] = entropy
        if method.sync_free:
            self._trigger(layer, entropy, decide(entropy, thresholds, waiting))
            return
        exceeded = self._plan.exceeded(entropy)
        if exceeded == "none":
            return
        # What all of them do needs no masks.
        all_of_them = exceeded == "all" and self._plan.even and self._triggers is None
        triggered = waiting if all_of_them else decide(entropy, thresholds, waiting)
        if all_of_them or triggered.any():
            self._trigger(layer, entropy, triggered)
            self._done = all_of_them or not self._waiting.any()

    def _trigger(self, layer: int, entropy: Tensor, triggered: Tensor) -> None:
        before = self._untriggered() if self._triggers is None else self._triggers
        self._triggers = before.masked_fill(triggered, layer)
        if triggered is not self._waiting:
            self._waiting = self._waiting & ~triggered
        if self._method.config.dynamic_ratio:
            dynamic = (2 * (entropy - self._plan.thresholds)).clamp(0, 1)
            self._ratios = torch.where(triggered, dynamic, self._ratios)
        self._triggered = triggered

    def _states(self, deciding: Tensor) -> Tensor:
        method, rows = self._method, self._plan.thresholds.shape[0]
        if deciding.shape[0] != rows:
            raise ArmingError(
                f"This forward pass has {deciding.shape[0]} rows, its plan {rows}. Lay both out "
                "from the same rows."
            )
        if method.config.norm_before_head and method.norm is not None:
            normed: Tensor = method.norm(deciding)
            return normed
        return deciding

    @property
    def done(self) -> bool:
        """Whether nothing can trigger any more, and nothing is to be retraced."""
        return self._done and self._triggered is None

    @property
    def retraces(self) -> bool:
        """Whether the next layer's FFN is to be retraced."""
        return self._triggered is not None

    def retrace(self, layer: int, hidden: Tensor, ffn_out: Tensor) -> Tensor:
        """Return what `layer`'s FFN shall give: retraced in the rows that just triggered.

        Shapes: `hidden` (its input), `ffn_out` and the result as the layout has them. It is
        `ffn_out` itself where nothing is to be done.
        """
        triggered, layout = self._triggered, self._layout
        if triggered is None:
            return ffn_out
        self._triggered = None
        config, plan, device = self._method.config, self._plan, hidden.device
        triggered = triggered.to(device)
        formula = LayerFormula(
            visual=plan.memory.features.to(device),
            ratios=self._ratios.to(device),
            gain=plan.gains[layer].to(device),
            activation=config.activation,
            control=config.control,
        )
        if self._where is not None:
            weights = formula.weights(layout.deciding(hidden))
            chosen = torch.where(triggered[..., None], weights, self._where.to(device))
            self._where = chosen.to(plan.able.device)
        return layout.retraced(hidden, ffn_out, triggered, formula, config.scope)

    @property
    def followed(self) -> bool:
        """Whether the model's layers and FFNs ran as the modules that they are."""
        missed = self._missed or self._triggered is not None
        return not missed and bool(self._entropies or not self._plan.layers)

    def outcome(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return `triggers`, `entropies` and `where` in the shapes of a `Record`."""
        triggers = self._untriggered() if self._triggers is None else self._triggers
        layers, known = self._plan.layers, self._entropies
        if len(known) < len(layers) or not layers:
            unprobed = torch.full_like(triggers, NOT_PROBED, dtype=torch.float32)
            known = {layer: known.get(layer, unprobed) for layer in layers}
        each = [known[layer] for layer in layers]
        entropies = torch.stack(each, -1) if each else unprobed[..., None][..., :0]
        return triggers, entropies, self._where

    def _untriggered(self) -> Tensor:
        shape, device = self._waiting.shape, self._waiting.device
        return torch.full(shape, NOT_TRIGGERED, dtype=torch.int16, device=device)

    def record(self) -> Record:
        """Return what was decided, unread."""
        triggers, entropies, where = self.outcome()
        return Record(
            triggers=triggers,
            entropies=entropies,
            where=where,
            layers=self._plan.layers,
            windows=self._plan.windows,
            images=self._plan.memory.images,
            prompt=self._layout.prompt > 0,
        )
