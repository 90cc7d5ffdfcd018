"""Which precision a device multiplies fastest in: it differs by ten times, either way."""

import time

import torch

_SHAPE = (1024, 256, 512)  # about that of a layer's work in training
_ROUNDS = 3
_WORTH = 1.2  # bfloat16 rounds more, so it has to be clearly faster


def fastest_precision(device: str) -> str:
    """The name of bfloat16 where a device multiplies in it clearly faster than in float32.

    Recent processors have instructions for bfloat16; others compute it in many steps.
    """
    if device != "cpu":
        return "bfloat16"
    return "bfloat16" if _seconds(torch.bfloat16) * _WORTH < _seconds(torch.float32) else "float32"


def _seconds(kind: torch.dtype) -> float:
    rows, inner, columns = _SHAPE
    left, right = torch.ones(rows, inner, dtype=kind), torch.ones(inner, columns, dtype=kind)
    times = []
    for _ in range(_ROUNDS + 1):  # the first one prepares
        started = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - started)
    return min(times[1:])
