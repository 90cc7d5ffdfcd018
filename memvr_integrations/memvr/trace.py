"""What happened while a model was armed: which layer triggered, why, and where.

Steps stay on the model's device until they are read; reading is the only thing that waits for it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from memvr_integrations.memvr.memory import VisualMemory

# Entropies are never negative, so these can share a tensor with them.
NOT_PROBED = -1.0
NOT_TRIGGERED = -1


@dataclass(frozen=True, kw_only=True)
class RowTrace:
    """One row's decision in one step.

    Args:
        entropies: Layer to entropy, as far as this row probed; empty where it could not trigger.
        trigger_layer: The layer that triggered; the FFN after it was retraced. None: none did.
        where: Per image of the row, each visual token's share of the evidence at the row's last
            position; all shares sum to one. None unless the row triggered and `keep_where` was set.
    """

    entropies: dict[int, float]
    trigger_layer: int | None
    where: tuple[Tensor, ...] | None = None

    @property
    def entropy(self) -> float | None:
        """The deciding entropy: the trigger's, or else the highest probed; None if none was."""
        if self.trigger_layer is not None:
            return self.entropies[self.trigger_layer]
        return max(self.entropies.values(), default=None)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One position of every row: the prompt's last one (`prompt`), or one that was decoded."""

    rows: tuple[RowTrace, ...]
    prompt: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One forward pass, still on its device; it holds a step for each of its decisions.

    Shapes: `triggers` (rows, decisions) int16; `entropies` (rows, decisions, layers) float32;
    `where` (rows, decisions, tokens) float32 or None.
    """

    triggers: Tensor
    entropies: Tensor
    where: Tensor | None
    layers: tuple[int, ...]
    windows: tuple[frozenset[int], ...]
    images: tuple[tuple[int, ...], ...]
    prompt: bool

    def steps(self) -> list[Step]:
        """Read the record from its device."""
        triggers: list[list[int]] = self.triggers.tolist()
        entropies: list[list[list[float]]] = self.entropies.tolist()
        where = None if self.where is None else self.where.cpu()
        steps = []
        for decision in range(self.triggers.shape[1]):
            rows = [
                self._row(
                    row,
                    triggers[row][decision],
                    entropies[row][decision],
                    None if where is None else where[row, decision],
                )
                for row in range(len(triggers))
            ]
            steps.append(Step(rows=tuple(rows), prompt=self.prompt and decision == 0))
        return steps

    def _row(
        self, row: int, trigger: int, entropies: list[float], where: Tensor | None
    ) -> RowTrace:
        triggered = trigger != NOT_TRIGGERED
        # Other rows of the batch may have probed on after this one was done.
        probed = {
            layer: entropy
            for layer, entropy in zip(self.layers, entropies, strict=True)
            if layer in self.windows[row]
            and entropy != NOT_PROBED
            and not (triggered and layer > trigger)
        }
        if where is None or not triggered:
            return RowTrace(entropies=probed, trigger_layer=trigger if triggered else None)
        own = torch.split(where[: sum(self.images[row])], list(self.images[row]))
        return RowTrace(entropies=probed, trigger_layer=trigger, where=own)


class StepLog:
    """Room for the steps of one request in fixed tensors, which a compiled forward can write."""

    def __init__(self, template: Record, capacity: int) -> None:
        """Make room for `capacity` steps shaped like those of `template`."""
        self._template = template
        self._triggers = _room(template.triggers, capacity)
        self._entropies = _room(template.entropies, capacity)
        self._where = None if template.where is None else _room(template.where, capacity)
        self._used = torch.zeros(1, dtype=torch.long, device=template.triggers.device)

    def write(self, triggers: Tensor, entropies: Tensor, where: Tensor | None) -> None:
        """Append one forward pass with one decision, without waiting for the device."""
        self._triggers.index_copy_(0, self._used, triggers[None])
        self._entropies.index_copy_(0, self._used, entropies[None])
        if self._where is not None and where is not None:
            self._where.index_copy_(0, self._used, where[None])
        self._used.add_(1)

    def drain(self) -> list[Record]:
        """Take out what was written so far."""
        count = int(self._used)
        self._used.zero_()
        return [
            replace(
                self._template,
                triggers=self._triggers[at].clone(),
                entropies=self._entropies[at].clone(),
                where=None if self._where is None else self._where[at].clone(),
                prompt=False,
            )
            for at in range(count)
        ]


def _room(like: Tensor, capacity: int) -> Tensor:
    return torch.zeros(capacity, *like.shape, dtype=like.dtype, device=like.device)


class Trace:
    """The steps of everything that ran while the model was armed.

    `memory` is the visual memory of the newest request, None where it had none; pass it to
    `retracing(..., memory=...)` to go on from a cache that this request has filled.
    """

    def __init__(self) -> None:
        """Start empty; `retracing` fills it."""
        self.memory: VisualMemory | None = None
        self._steps: list[Step] = []
        self._unread: list[Record] = []
        self._log: StepLog | None = None

    @property
    def steps(self) -> Sequence[Step]:
        """Every step so far, oldest first: one a forward pass, or one a position of drafts.

        A forward that checks drafts (assisted decoding) has a step for each, rejected or not.
        """
        self.flush()
        for record in self._unread:
            self._steps.extend(record.steps())
        self._unread.clear()
        return tuple(self._steps)

    def latest(self) -> Step | None:
        """Return the newest step, reading nothing older; None before the first."""
        self.flush()
        if self._unread:
            return self._unread[-1].steps()[-1]
        return self._steps[-1] if self._steps else None

    @property
    def retraced(self) -> int:
        """How many times a row was retraced."""
        return self._triggers().total()

    def summary(self) -> dict[str, int | float | dict[int, int]]:
        """Count decisions, retraced ones, their share, and the retraced ones by trigger layer.

        A decision is one step of one row that could trigger.
        """
        decisions = sum(bool(row.entropies) for step in self.steps for row in step.rows)
        layers = self._triggers()
        retraced = layers.total()
        return {
            "steps": len(self.steps),
            "decisions": decisions,
            "retraced": retraced,
            "share": retraced / decisions if decisions else 0.0,
            "trigger_layers": dict(sorted(layers.items())),
        }

    def record(self, record: Record) -> None:
        """Append one forward pass; for the hooks."""
        self._unread.append(record)

    def open_log(self, log: StepLog | None) -> None:
        """Read from `log` as well from now on; for the hooks."""
        self.flush()
        self._log = log

    def flush(self) -> None:
        """Take in what a compiled forward has written."""
        if self._log is not None:
            self._unread.extend(self._log.drain())

    def _triggers(self) -> Counter[int]:
        rows = [row for step in self.steps for row in step.rows]
        return Counter(row.trigger_layer for row in rows if row.trigger_layer is not None)
