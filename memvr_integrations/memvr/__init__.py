"""MemVR, memory-space visual retracing: where a decoder is unsure, it retraces the image.

Needs torch alone. `retracing` arms a Hugging Face model; everything below it is tensors in and
tensors out, for engines that place the calls themselves. Read it from the bottom up:

- `config`: the settings.
- `uncertainty`: how unsure a layer is, and whether that triggers.
- `memory`: each row's visual tokens.
- `formula`: the FFN's output blended with visual evidence.
- `frames`, `packed`: how the positions of a forward pass lie, padded or packed.
- `trace`: what happened, read without disturbing it.
- `folding`: the final norm within the head.
- `screen`, `probes`: ways to read a layer's entropy with less than the whole head.
- `choosing`: which of them a model gets.
- `plan`: settings and memory of a batch, laid out as tensors.
- `forward`: one forward pass: probe, decide, retrace.
- `arming`: all that knows Hugging Face: hooks on a model, which make those calls.
"""

from typing import TYPE_CHECKING

from memvr_integrations._lazy import lazily

# Imported when asked for: settings can be read where torch isn't loaded yet.
if TYPE_CHECKING:
    from memvr_integrations.memvr.arming.anatomy import find_anatomy
    from memvr_integrations.memvr.arming.blindfold import blindfolded, covered
    from memvr_integrations.memvr.arming.hooks import retracing
    from memvr_integrations.memvr.choosing import ChosenProbe, choose_probe
    from memvr_integrations.memvr.config import MemVRConfig
    from memvr_integrations.memvr.folding import ScalingNorm
    from memvr_integrations.memvr.formula import dampen, retrace, retrieval_weights
    from memvr_integrations.memvr.forward import Method, Pass
    from memvr_integrations.memvr.frames import Frame
    from memvr_integrations.memvr.memory import VisualMemory
    from memvr_integrations.memvr.packed import Packed
    from memvr_integrations.memvr.plan import Plan, window
    from memvr_integrations.memvr.probes import (
        ExactProbe,
        FoldedProbe,
        Probe,
        ReuseProbe,
        StrictProbe,
    )
    from memvr_integrations.memvr.screen import Screen
    from memvr_integrations.memvr.trace import Record, RowTrace, Step, Trace
    from memvr_integrations.memvr.uncertainty import (
        decide,
        layer_entropy,
        threshold_tensor,
    )

__all__ = [
    "ChosenProbe",
    "ExactProbe",
    "FoldedProbe",
    "Frame",
    "MemVRConfig",
    "Method",
    "Packed",
    "Pass",
    "Plan",
    "Probe",
    "Record",
    "ReuseProbe",
    "RowTrace",
    "ScalingNorm",
    "Screen",
    "Step",
    "StrictProbe",
    "Trace",
    "VisualMemory",
    "blindfolded",
    "choose_probe",
    "covered",
    "dampen",
    "decide",
    "find_anatomy",
    "layer_entropy",
    "retrace",
    "retracing",
    "retrieval_weights",
    "threshold_tensor",
    "window",
]

_HOMES = {
    "arming.anatomy": ("find_anatomy",),
    "arming.blindfold": ("blindfolded", "covered"),
    "arming.hooks": ("retracing",),
    "choosing": ("ChosenProbe", "choose_probe"),
    "config": ("MemVRConfig",),
    "folding": ("ScalingNorm",),
    "formula": ("dampen", "retrace", "retrieval_weights"),
    "forward": ("Method", "Pass"),
    "frames": ("Frame",),
    "memory": ("VisualMemory",),
    "packed": ("Packed",),
    "plan": ("Plan", "window"),
    "probes": ("ExactProbe", "FoldedProbe", "Probe", "ReuseProbe", "StrictProbe"),
    "screen": ("Screen",),
    "trace": ("Record", "RowTrace", "Step", "Trace"),
    "uncertainty": ("decide", "layer_entropy", "threshold_tensor"),
}
__getattr__ = lazily(__name__, {name: home for home, names in _HOMES.items() for name in names})
