"""MemVR, memory-space visual retracing: a decoder that is unsure looks at the image again.

Needs torch alone. `retracing` arms a Hugging Face model; the functions below it are pure, tensors
in and tensors out, for engines that place the calls themselves.
"""

from memvr_integrations.memvr.arming.blindfold import blindfolded, covered
from memvr_integrations.memvr.arming.hooks import retracing
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.memvr.memory import VisualMemory
from memvr_integrations.memvr.retrace import dampen, retrace, retrieval_weights
from memvr_integrations.memvr.trace import RowTrace, Step, Trace
from memvr_integrations.memvr.uncertainty import decide, layer_entropy, threshold_tensor

__all__ = [
    "MemVRConfig",
    "RowTrace",
    "Step",
    "Trace",
    "VisualMemory",
    "blindfolded",
    "covered",
    "dampen",
    "decide",
    "layer_entropy",
    "retrace",
    "retracing",
    "retrieval_weights",
    "threshold_tensor",
]
