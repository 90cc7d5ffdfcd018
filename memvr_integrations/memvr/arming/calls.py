"""Reading one call of a Hugging Face model: where its prompt ends, and what is padding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from memvr_integrations.errors import ArmingError, UnsupportedModelError
from memvr_integrations.memvr.frames import Frame


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """The arguments of one call of the model that matter here."""

    ids: Tensor | None
    rows: int
    width: int
    mask: object
    cache: object
    features: object
    video: bool

    @classmethod
    def read(cls, arguments: Mapping[str, object]) -> Self:
        """Read a call's arguments.

        Raises:
            ArmingError: It runs without a cache, or has neither ids nor embeddings.
        """
        if arguments.get("use_cache") is False:
            raise ArmingError(
                "use_cache=False computes the history anew at every token, with other retracings "
                "than it had. Leave use_cache out."
            )
        ids, embeds = arguments.get("input_ids"), arguments.get("inputs_embeds")
        shown = ids if isinstance(ids, Tensor) else embeds
        if not isinstance(shown, Tensor):
            raise ArmingError("The model was called without input_ids; pass them by that name.")
        given = arguments.get("mm_encoder_outputs")
        encoded = given if isinstance(given, Mapping) else {}
        video = encoded.get("video") is not None or arguments.get("pixel_values_videos") is not None
        return cls(
            ids=ids if isinstance(ids, Tensor) else None,
            rows=shown.shape[0],
            width=shown.shape[1],
            mask=arguments.get("attention_mask"),
            cache=cache_in(arguments),
            features=encoded.get("image"),
            video=video,
        )

    @property
    def past(self) -> int:
        """The number of positions in the cache already."""
        return positions_in(self.cache)


def cache_in(given: Mapping[str, object]) -> object:
    """The cache among the arguments of a call or in its output, under its new or its old name."""
    return given.get("cache", given.get("past_key_values"))


def positions_in(cache: object) -> int:
    """How many positions a cache holds; none where there is no cache."""
    length = getattr(cache, "get_seq_length", None)
    return int(length()) if callable(length) else 0


def states_in(values: object, module: nn.Module) -> Tensor:
    """The hidden states (rows, positions, dim) among what a module was given, or gave.

    Raises:
        UnsupportedModelError: There are none.
    """
    first = values[0] if isinstance(values, tuple) and values else values
    if not isinstance(first, Tensor) or first.ndim != 3:
        raise UnsupportedModelError(
            f"{type(module).__name__} does not pass hidden states of (rows, positions, dim), so "
            "MemVR cannot attach. Pass memvr=None to run it plain."
        )
    return first


def frame_of(call: Call, prompt_length: int | None) -> Frame:
    """Make the frame of a request's first call.

    Args:
        call: The call.
        prompt_length: Positions of the whole prompt with what is cached; None: up to here.

    Raises:
        ArmingError: The call holds only a part of the prompt, or its padding cannot be read.
    """
    past = call.past
    prompt = call.width if prompt_length is None else prompt_length - past
    if prompt > call.width:
        raise ArmingError(
            f"The first forward holds {call.width} of {prompt} prompt positions. A prompt in "
            "chunks would be retraced otherwise than a whole one; leave prefill_chunk_size out."
        )
    prompt = max(prompt, 0)
    real = prompt_mask(call.mask, past, call.width)
    real = None if real is None else real[:, :prompt]
    # A row of nothing but padding has no last position; it cannot trigger anyway.
    if real is None or bool((real[:, -1:] | ~real.any(1, keepdim=True)).all()):
        return Frame(width=call.width, prompt=prompt, real=real)
    if prompt < call.width:
        raise ArmingError("Drafts cannot be checked after right padding; pad on the left.")
    last = prompt - 1 - real.int().flip(1).argmax(1)
    return Frame(width=call.width, prompt=prompt, real=real, last=last)


def prompt_mask(mask: object, past: int, width: int) -> Tensor | None:
    """Return which positions of a forward are no padding, (rows, width) bool; None: all.

    Args:
        mask: None; (rows, length) of 1 and 0; or (rows, 1, width, length), as a static cache has
            it; or a dict of such by kind of attention.
        past: Positions before this forward's first.
        width: Positions of this forward.

    Raises:
        ArmingError: The mask has another form.
    """
    if isinstance(mask, Mapping):
        mask = mask.get("full_attention", next(iter(mask.values()), None))
    if mask is None:
        return None
    if isinstance(mask, Tensor) and mask.ndim == 2 and mask.shape[1] >= width:
        # A mask of just this forward, or one of all positions and perhaps of a cache's free room.
        start = past if mask.shape[1] >= past + width else mask.shape[1] - width
        return mask[:, start : start + width].bool()
    if isinstance(mask, Tensor) and mask.ndim == 4 and mask.shape[3] >= past + width:
        # Only padding does not attend to itself.
        own = mask[:, 0, -width:, past : past + width].diagonal(dim1=1, dim2=2)
        return own if own.dtype == torch.bool else own == 0
    shape = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
    raise ArmingError(
        f"Padding cannot be read from an attention mask of {shape}; pass one of (rows, length)."
    )
