"""A blindfold: from one layer on text may not attend to the images, whatever the model.

With the eyes of attention closed, what still comes through from an image came in below that layer
or is brought back by retracing: that is how much sight retracing can carry.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from memvr_integrations.errors import ArmingError, ConfigError, UnsupportedModelError
from memvr_integrations.memvr.arming.anatomy import Anatomy, find_anatomy
from memvr_integrations.memvr.arming.calls import cache_in, positions_in

_MASKED = ("sdpa", "eager")
_ATTENDING = {"full_attention", "sliding_attention", "chunked_attention"}


@contextmanager
def blindfolded(model: nn.Module, *, from_layer: int) -> Iterator[None]:
    """Within the `with`, text doesn't attend to images in layer `from_layer` and all above it.

    Image positions see each other as before, and the model is left as it was found. It goes
    together with `retracing`; a prompt without images is computed as ever.

    Raises:
        ConfigError: The model has no such layer.
        UnsupportedModelError: It has layers without attention, or one that takes no mask; or MemVR
            could not attach either.
        ArmingError: From inside a forward pass: it was called without `input_ids`, or goes on from
            a cache that was filled outside.
    """
    anatomy = find_anatomy(model)
    if not 0 <= from_layer < len(anatomy.layers):
        raise ConfigError(
            f"from_layer={from_layer} must be one of the model's layers, 0 to "
            f"{len(anatomy.layers) - 1}."
        )
    config = getattr(anatomy.decoder, "config", None)
    attention = getattr(config, "_attn_implementation", "eager")
    if attention not in _MASKED:
        raise UnsupportedModelError(
            f"The attention {attention!r} of {type(model).__name__} takes no mask of ours. Load it "
            "with attention='sdpa' or 'eager'."
        )
    kinds = set((getattr(config, "layer_types", None) or [])[from_layer:])
    if kinds - _ATTENDING:
        raise UnsupportedModelError(
            f"{type(model).__name__} has layers of the kind {sorted(kinds - _ATTENDING)[0]!r}, "
            "which carry sight without attention, so a blindfold would hide nothing."
        )
    blindfold = _Blindfold(anatomy)
    handles = [model.register_forward_pre_hook(blindfold.begin, with_kwargs=True)]
    handles += [blindfold.cover(layer) for layer in anatomy.layers[from_layer:]]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def covered(mask: Tensor | None, images: Tensor, width: int, kind: torch.dtype) -> Tensor:
    """An attention mask under which text doesn't see images.

    Shapes: `images` (rows, keys) bool, which positions show an image, the last `width` of them
    those that ask; `mask` and the result (rows or 1, heads or 1, width, keys or more), bool (True
    is seen) or to be added; None stands for a causal one.

    Raises:
        UnsupportedModelError: `mask` is of another form.
    """
    keys = images.shape[1]
    hidden = images[:, None, None, :] & ~images[:, None, keys - width :, None]
    if mask is None:
        every = torch.ones(width, keys, dtype=torch.bool, device=images.device)
        seen = every.tril(keys - width) & ~hidden
        open_to_all = torch.zeros(seen.shape, dtype=kind, device=images.device)
        return open_to_all.masked_fill(~seen, torch.finfo(kind).min)
    if mask.ndim != 4 or mask.shape[2] != width:
        raise UnsupportedModelError(
            f"An attention mask of the shape {tuple(mask.shape)} can't be blindfolded. Load the "
            "model with attention='sdpa' or 'eager'."
        )
    # A sliding window has forgotten the first keys; a cache of fixed size has room after the last.
    hidden = hidden[..., -mask.shape[3] :]
    hidden = nn.functional.pad(hidden, (0, mask.shape[3] - hidden.shape[3])).to(mask.device)
    if mask.dtype == torch.bool:
        return mask & ~hidden
    return mask.masked_fill(hidden, torch.finfo(mask.dtype).min)


class _Blindfold:
    """Which positions show an image, from the prompt to the latest token."""

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        self._images: Tensor | None = None

    def begin(self, module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Read what comes in."""
        ids = kwargs.get("input_ids", args[0] if args else None)
        if not isinstance(ids, Tensor):
            raise ArmingError("A blindfolded model was called without input_ids; pass them.")
        cache = cache_in(kwargs)
        past, new = positions_in(cache), ids == self._anatomy.image_token_id
        if past == 0:
            self._images = new
            return
        # A cache whose rows come and go says itself what they have read.
        known = getattr(cache, "prompts", None)
        before = (
            known == self._anatomy.image_token_id if isinstance(known, Tensor) else self._images
        )
        if before is None or before.shape[0] != ids.shape[0] or before.shape[1] < past:
            raise ArmingError(
                f"A blindfolded model goes on from {past} cached positions that were computed "
                "before. Give it the whole prompt inside the `with`."
            )
        self._images = torch.cat([before[:, :past], new], 1)

    def cover(self, layer: nn.Module) -> RemovableHandle:
        """Hook a layer."""
        names = list(inspect.signature(layer.forward).parameters)
        place = names.index("attention_mask") if "attention_mask" in names else None

        def hook(
            module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
        ) -> tuple[tuple[object, ...], dict[str, object]] | None:
            return self._masked(args, kwargs, place)

        return layer.register_forward_pre_hook(hook, with_kwargs=True)

    def _masked(
        self, args: tuple[object, ...], kwargs: dict[str, object], place: int | None
    ) -> tuple[tuple[object, ...], dict[str, object]] | None:
        images = self._images
        states = args[0] if args else kwargs.get("hidden_states")
        if images is None or not isinstance(states, Tensor):
            raise ArmingError("A blindfolded decoder was called on its own; call the whole model.")
        if not images.any():
            return None
        within = place is not None and place < len(args)
        given = args[place] if within and place is not None else kwargs.get("attention_mask")
        if given is not None and not isinstance(given, Tensor):
            raise UnsupportedModelError(
                f"An attention mask of the type {type(given).__name__} can't be blindfolded. Load "
                "the model with attention='sdpa' or 'eager'."
            )
        mask = covered(given, images.to(states.device), states.shape[1], states.dtype)
        if within and place is not None:
            return (*args[:place], mask, *args[place + 1 :]), kwargs
        return args, kwargs | {"attention_mask": mask}
