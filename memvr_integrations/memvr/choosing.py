"""Which probe a model gets: by what was asked for, its head, and the machine's speed."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from memvr_integrations.checks import check_choice
from memvr_integrations.memvr.config import Uncertainty
from memvr_integrations.memvr.folding import ScalingNorm
from memvr_integrations.memvr.probes import (
    ExactProbe,
    FoldedProbe,
    Probe,
    ReuseProbe,
    StrictProbe,
)
from memvr_integrations.memvr.screen import Screen

ProbeKind = Literal["exact", "strict", "reuse"]

# Below so many weights the whole head costs less than any way around it.
_SMALL = 1_000_000
_ROUNDS = 5
_FOLDED = "whole head with the norm in it"
_PLAIN = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, kw_only=True)
class ChosenProbe:
    """A probe for one head, and why it is this one.

    Args:
        probe: For `Method`, or for `retracing(probe=...)`.
        kind: What was asked for: probes of one kind decide alike on one machine.
        way: "whole head", "whole head with the norm in it", "int8 screen", or "best of the first
            layer".
        reason: Why this way, in words.
        milliseconds: What one probe of one row took, by way; empty where nothing was timed.
        norms: Whether it reads states before the final norm, which is in it then.
    """

    probe: Probe
    kind: ProbeKind
    way: str
    reason: str
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    norms: bool = False

    def to_dict(self) -> dict[str, str | dict[str, float]]:
        """Return all but the probe as plain values that JSON can hold."""
        return {
            "kind": self.kind,
            "way": self.way,
            "reason": self.reason,
            "milliseconds": {way: round(took, 3) for way, took in self.milliseconds.items()},
        }


def choose_probe(
    kind: ProbeKind,
    head: nn.Module,
    *,
    norm: nn.Module | None = None,
    softcap: float | None = None,
    form: Uncertainty = "top10",
) -> ChosenProbe:
    """Choose the probe of a kind for a head; it keeps an int8 copy of the head where it says so.

    "exact" is the whole head at every probed layer. "strict" decides as that does: an int8 screen
    with a proof, or the whole head where that is faster here. "reuse" takes the 256 best tokens at
    a row's first probed layer, by an int8 screen on CPUs that have one and by the whole head
    elsewhere, and reads later layers over those; which of them never depends on timing, so that
    answers don't.

    Args:
        kind: "exact", "strict" or "reuse".
        head: The model's; its weights must stay as they are while the probe is used.
        norm: The final norm before the head, if states are normed before they are probed: a probe
            may take it over, see `ChosenProbe.norms`.
        softcap: The model's bound on its logits, if it has one.
        form: How entropy is measured; "vocabulary" needs the whole head.

    Raises:
        ConfigError: There is no such kind.
    """
    check_choice("probe", kind, get_args(ProbeKind))
    exact = ExactProbe(head, form, softcap)

    def whole(reason: str, took: Mapping[str, float] | None = None) -> ChosenProbe:
        return ChosenProbe(
            probe=exact, kind=kind, way="whole head", reason=reason, milliseconds=took or {}
        )

    if kind == "exact":
        return whole("it was asked for")
    if form == "vocabulary":
        return whole("uncertainty='vocabulary' is over all logits")
    if not isinstance(head, nn.Linear) or (reason := _unfit(head)):
        return whole(reason if isinstance(head, nn.Linear) else "the head is not a plain matrix")
    scaling = None
    if norm is not None and head.weight.dtype == torch.float32:
        scaling = ScalingNorm.of(norm, head.in_features)
    if head.weight.numel() < _SMALL:
        reason = f"the head has {head.weight.numel():,} weights alone"
        foldable = head.bias is None and head.weight.device.type == "cpu"
        if norm is None or scaling is None or not foldable:
            return whole(reason)
        folded = FoldedProbe(head, norm, scaling, softcap)
        return ChosenProbe(probe=folded, kind=kind, way=_FOLDED, reason=reason, norms=True)
    if kind == "strict" and head.weight.dtype != torch.float32:
        return whole("nothing can be proven of logits that are rounded to half precision")
    screen = Screen.of(head.weight, head.bias)
    if kind == "reuse":
        way = "best of the first layer" if screen is None else "int8 screen"
        reason = "the rule for this head and machine"
        probe = ReuseProbe(head, screen, softcap, scaling=scaling)
        norms = scaling is not None
        return ChosenProbe(probe=probe, kind=kind, way=way, reason=reason, norms=norms)
    if screen is None:
        return whole("this machine has no int8 product")
    strict = StrictProbe(head, screen, softcap)
    took = _timed({"whole head": exact, "int8 screen": strict}, head.weight)
    if took["int8 screen"] >= took["whole head"]:
        return whole("it is the faster one here", took)
    return ChosenProbe(
        probe=strict,
        kind=kind,
        way="int8 screen",
        reason="it is the faster one here",
        milliseconds=took,
    )


def _unfit(head: nn.Linear) -> str:
    """Why no rows can be taken of a head; "" where they can."""
    weight = head.weight
    if weight.is_meta:
        return "the head's weights are not in memory"
    # A packed weight may call itself a floating-point tensor, but of a class of its own.
    if type(weight) is not nn.Parameter or weight.dtype not in _PLAIN:
        return "the head's weights are packed"
    # Adapters and hooks of others change what a head says without changing its weights.
    state = torch.linspace(-1, 1, weight.shape[1]).to(weight.device, weight.dtype)[None]
    with torch.no_grad():
        says, plain = head(state), nn.functional.linear(state, weight, head.bias)
    if not torch.allclose(says.to(plain.device), plain, rtol=1e-2, atol=1e-3, equal_nan=True):
        return "the head says something else than its weights"
    return ""


def _timed(probes: Mapping[str, Probe], weight: Tensor) -> dict[str, float]:
    """Milliseconds of one probe of one row: the median of a few in turn, after one to warm up."""
    random = torch.Generator().manual_seed(0)
    state = torch.randn(1, 1, weight.shape[1], generator=random)
    threshold, waiting = torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool)
    first = torch.tensor([0])

    def once(probe: Probe) -> float:
        started = time.perf_counter()
        probe.begin()
        probe(state, threshold, waiting, first)
        return 1000 * (time.perf_counter() - started)

    taken: dict[str, list[float]] = {way: [] for way in probes}
    with torch.no_grad():
        for turn in range(_ROUNDS + 1):
            for way, probe in probes.items():
                took = once(probe)
                if turn:
                    taken[way].append(took)
    return {way: statistics.median(took) for way, took in taken.items()}
