"""Which precision a device multiplies fastest in: it differs by ten times, either way."""

import time

import torch
import torch.distributed as dist

_SHAPE = (1024, 256, 512)  # about that of a layer's work in training
_ROUNDS = 3
_WORTH = 1.2  # bfloat16 rounds more, so it has to be clearly faster


def fastest_precision(device: str) -> str:
    """The name of bfloat16 where a device multiplies in it clearly faster than in float32.

    Recent processors have instructions for bfloat16; others compute it in many steps. In a
    distributed run the first process shares what it found with all others.
    """
    if device != "cpu":
        return "bfloat16"
    faster = _seconds(torch.bfloat16) * _WORTH < _seconds(torch.float32)
    found = ["bfloat16" if faster else "float32"]
    if dist.is_initialized():
        dist.broadcast_object_list(found)
    return found[0]


def _seconds(kind: torch.dtype) -> float:
    rows, inner, columns = _SHAPE
    left, right = torch.ones(rows, inner, dtype=kind), torch.ones(inner, columns, dtype=kind)
    times = []
    for _ in range(_ROUNDS + 1):  # the first one prepares
        started = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - started)
    return min(times[1:])
