"""When memory runs out: how that is known, and what is let go before anything is tried again."""

import traceback

import torch


def out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def let_go(error: Exception) -> None:
    """Let go of the tensors that the failed work held."""
    traceback.clear_frames(error.__traceback__)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
