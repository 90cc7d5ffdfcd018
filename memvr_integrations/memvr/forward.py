"""One forward pass: probing its layers, deciding a row at a time, blending the FFN that follows."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.memvr.frames import Frame
from memvr_integrations.memvr.plan import Plan
from memvr_integrations.memvr.retrace import dampen, retrace, retrieval_weights
from memvr_integrations.memvr.trace import NOT_FIRED, NOT_PROBED, Record
from memvr_integrations.memvr.uncertainty import Probe, decide


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """What all forward passes of one arming share.

    `sync_free` never waits for the device: it probes every layer and blends every FFN of the
    window, and picks the result a row. The other form waits once a probe and skips what it can.
    """

    config: MemVRConfig
    norm: nn.Module
    probe: Probe
    sync_free: bool
    keep_where: bool


class Pass:
    """The decisions of one forward pass, made as its layers run."""

    def __init__(self, method: Method, plan: Plan, frame: Frame) -> None:
        """Start before the first layer."""
        self._method = method
        self._plan = plan
        self._frame = frame
        rows, decisions = plan.able.shape[0], frame.decisions
        device = plan.able.device
        self._waiting = plan.able.expand(rows, decisions)
        self._triggers = torch.full((rows, decisions), NOT_FIRED, dtype=torch.int16, device=device)
        self._ratios = plan.ratios.expand(rows, decisions)
        self._where: Tensor | None = None
        if method.keep_where:
            tokens = plan.memory.features.shape[1]
            self._where = torch.zeros(rows, decisions, tokens, device=device)
        self._entropies: dict[int, Tensor] = {}
        self._pending: Tensor | None = None
        self._done = False
        self._missed = False
        method.probe.begin()

    def look(self, layer: int, hidden: Tensor) -> None:
        """Probe behind `layer`, with `hidden` (rows, width, dim) the residual it left."""
        self._missed = self._missed or self._pending is not None
        self._pending = None
        eligible = self._plan.eligible.get(layer)
        if eligible is None or self._done:
            return
        method, thresholds = self._method, self._plan.thresholds
        states = self._frame.deciding(hidden)
        if method.config.norm_before_head:
            states = method.norm(states)
        entropy = method.probe(states).to(thresholds.device)
        fired = decide(entropy, thresholds, self._waiting & eligible)
        self._entropies[layer] = entropy
        self._waiting = self._waiting & ~fired
        self._triggers = self._triggers.masked_fill(fired, layer)
        if method.config.dynamic_ratio:
            dynamic = (2 * (entropy - thresholds)).clamp(0, 1)
            self._ratios = torch.where(fired, dynamic, self._ratios)
        if method.sync_free:
            self._pending = fired
            return
        any_fired, any_waiting = torch.stack([fired.any(), self._waiting.any()]).tolist()
        self._pending = fired if any_fired else None
        self._done = not any_waiting

    def blend(self, layer: int, hidden: Tensor, ffn_out: Tensor) -> Tensor:
        """Return what `layer`'s FFN shall give: retraced in the rows that triggered before it.

        Shapes: `hidden` (its input), `ffn_out` and the result (rows, width, dim).
        """
        fired, frame = self._pending, self._frame
        if fired is None:
            return ffn_out
        self._pending = None
        fired = fired.to(hidden.device)
        if self._where is not None:
            self._note_where(layer, frame.deciding(hidden), fired)
        pieces: list[Tensor] = []
        start, decision = frame.width - frame.decisions, 0
        if frame.prompt and (self._method.config.scope == "all" or frame.last is not None):
            x, plain = hidden[:, : frame.prompt], ffn_out[:, : frame.prompt]
            pieces.append(self._blend_prompt(layer, x, plain, fired[:, 0]))
            start, decision = frame.prompt, 1
        elif start:
            pieces.append(ffn_out[:, :start])
        for at in range(start, frame.width):
            x, plain = hidden[:, at : at + 1], ffn_out[:, at : at + 1]
            mixed = self._mix(layer, x, plain, decision, None)
            pieces.append(torch.where(fired[:, decision, None, None], mixed, plain))
            decision += 1
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    @property
    def followed(self) -> bool:
        """Whether the model's layers and FFNs ran as the modules that they are."""
        missed = self._missed or self._pending is not None
        return not missed and bool(self._entropies or not self._plan.layers)

    def outcome(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return `triggers`, `entropies` and `where` in the shapes of a `Record`."""
        unprobed = torch.full_like(self._triggers, NOT_PROBED, dtype=torch.float32)
        layers = [self._entropies.get(layer, unprobed) for layer in self._plan.layers]
        entropies = torch.stack(layers, -1) if layers else unprobed[..., None][..., :0]
        return self._triggers, entropies, self._where

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
            prompt=self._frame.prompt > 0,
        )

    def _blend_prompt(self, layer: int, x: Tensor, plain: Tensor, fired: Tensor) -> Tensor:
        """Retrace a whole prompt; or, behind right padding and for one position, just that."""
        chosen, edited = self._frame.real, fired[:, None]
        if self._method.config.scope == "last" and self._frame.last is not None:
            columns = torch.arange(x.shape[1], device=x.device)
            chosen = columns == self._frame.last.to(x.device)[:, None]
            edited = edited & chosen
        mixed = self._mix(layer, x, plain, 0, None if chosen is None else chosen.to(x.device))
        return torch.where(edited[..., None], mixed, plain)

    def _mix(
        self, layer: int, x: Tensor, plain: Tensor, decision: int, positions: Tensor | None
    ) -> Tensor:
        config, plan = self._method.config, self._plan
        ratio = self._ratios[:, decision].to(x.device)
        if config.control == "damping":
            return dampen(plain, ratio)
        return retrace(
            x,
            plain,
            plan.memory.features.to(x.device),
            ratio,
            gain=plan.gains[layer].to(x.device),
            activation=config.activation,
            positions=positions,
        )

    def _note_where(self, layer: int, states: Tensor, fired: Tensor) -> None:
        plan = self._plan
        weights = retrieval_weights(
            states,
            plan.memory.features.to(states.device),
            gain=plan.gains[layer].to(states.device),
            activation=self._method.config.activation,
        )
        if self._where is not None:
            chosen = torch.where(fired[..., None], weights, self._where.to(states.device))
            self._where = chosen.to(plan.able.device)
