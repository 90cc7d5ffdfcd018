"""Finding the images of a new prompt, and dealing them out to its rows."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from memvr_integrations.errors import ArmingError, MemVRWarning, UnsupportedModelError
from memvr_integrations.memvr.arming.calls import Call
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.memvr.memory import VisualMemory


def bring_memory(
    call: Call, features: object, prompt: Tensor | None, image_token_id: int
) -> VisualMemory:
    """Build the visual memory of a prompt's first call; its rows without images are empty.

    Args:
        call: The call.
        features: What the model's `get_image_features` returned for it, or None.
        prompt: The whole prompt (prompts, length), where `generate` knows it.
        image_token_id: The token that stands for one visual token.

    Raises:
        ArmingError: The prompt's image tokens cannot be seen, or lie in a cache.
    """
    ids = _whole_prompt(call, prompt)
    counts: list[int] = (ids == image_token_id).sum(-1).tolist()
    images = image_blocks(features)
    available = sum(image.shape[:-1].numel() for image in images)
    if call.past and available != sum(counts):
        raise ArmingError(
            f"{sum(counts)} image tokens of this prompt lie in a cache and {available} were "
            "encoded now. Pass all of them as memory=, such as the trace.memory of the request "
            "that filled the cache."
        )
    if sum(counts) and not images:
        warnings.warn(
            f"The prompt has {sum(counts)} image tokens, but no image came with it: this request "
            "runs plain.",
            MemVRWarning,
            stacklevel=2,
        )
    if not sum(counts) or not images:
        return VisualMemory.empty(call.rows, ids.device)
    return VisualMemory.from_placeholders(images, counts)


def fitting_memory(
    memory: VisualMemory, device: torch.device, dtype: torch.dtype, width: int
) -> VisualMemory:
    """Bring a memory to the device and the dtype of a decoder that is `width` wide.

    Raises:
        UnsupportedModelError: The features have another width.
    """
    memory = memory.to(device, dtype)
    if memory.features.numel() and memory.features.shape[-1] != width:
        raise UnsupportedModelError(
            f"The image features are {memory.features.shape[-1]} wide, the decoder {width}, so "
            "MemVR cannot attach. Pass memvr=None to run it plain."
        )
    return memory


def usable_rows(memory: VisualMemory, configs: Sequence[MemVRConfig | None]) -> list[bool]:
    """Which rows have evidence to give; a warning where one has images and should have some."""
    usable: list[bool] = memory.usable.tolist()
    for config, sizes, able in zip(configs, memory.images, usable, strict=True):
        if config is not None and sizes and not able:
            warn_plain("The features of an image are all zero or not finite")
    return usable


def warn_plain(reason: str) -> None:
    """Warn that MemVR can do nothing for a request."""
    warnings.warn(f"{reason}: this request runs plain.", MemVRWarning, stacklevel=2)


def image_blocks(features: object) -> list[Tensor]:
    """Return the tensors (..., dim) of what `get_image_features` gave, one an image or tile."""
    pooled = getattr(features, "pooler_output", features)
    if isinstance(pooled, Tensor):
        return list(pooled) if pooled.ndim > 2 else [pooled]
    if isinstance(pooled, list | tuple):
        return [block for block in pooled if isinstance(block, Tensor)]
    return []


def _whole_prompt(call: Call, prompt: Tensor | None) -> Tensor:
    if call.ids is None:
        raise ArmingError(
            "With inputs_embeds the image tokens of a prompt cannot be counted. Pass input_ids, "
            "or the visual tokens as memory=VisualMemory.from_rows(...)."
        )
    if not call.past:
        return call.ids
    if prompt is None:
        raise ArmingError(
            f"The first forward goes on from a cache of {call.past} positions that the armed model "
            "did not fill. Arm before the prompt, or pass its visual tokens as memory=."
        )
    times = repeats_in_batch(len(prompt), call.rows, "input_ids")
    return torch.repeat_interleave(prompt, times, dim=0)


def repeats_in_batch(rows: int, batch: int, what: str) -> int:
    """Return how often each of `rows` repeats in a batch of beams or returned sequences.

    Raises:
        ArmingError: The batch is not a multiple of them.
    """
    if batch % rows:
        raise ArmingError(
            f"The model's batch has {batch} rows, which is no multiple of the {rows} rows of "
            f"`{what}`. Pass one a prompt."
        )
    return batch // rows
