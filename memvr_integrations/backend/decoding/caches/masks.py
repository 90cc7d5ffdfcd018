"""What each row's newest position may attend to, where rows differ in length."""

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from memvr_integrations.backend.decoding.caches.slots import Lengths, joinable

_ADDED, _FLASH = "eager", "flash"
_KINDS = {"full_attention", "sliding_attention", "linear_attention", "dummy"}
# Their wrapper makes a mask for each kind of layer itself, and takes but one.
_ONE_MASK = {"paligemma"}

Mask = Tensor | Mapping[str, Tensor | None] | None


class StepMasks:
    """The masks of a model's decoding steps."""

    def __init__(self, model: PreTrainedModel) -> None:
        text = model.config.get_text_config()
        self.implementation = str(getattr(text, "_attn_implementation", None) or _ADDED)
        self._dtype = model.dtype
        self._windows = _windows(model)
        self._one_mask = model.config.model_type in _ONE_MASK
        names = getattr(text, "layer_types", None) or []
        self._names: dict[str, int | None] = {}
        for name, window in zip(names, self._windows, strict=False):
            self._names[name] = window
        known = not set(names) - _KINDS
        attends = self.implementation in ("sdpa", _ADDED) or _FLASH in self.implementation
        self.joinable = known and attends and joinable(model.config)

    @property
    def windowed(self) -> bool:
        """Whether a layer sees no further than some columns back, so that padding shortens it."""
        return any(window is not None for window in self._windows)

    @property
    def most(self) -> int | None:
        """The length beyond which a row of this model can't be masked here; None: no such."""
        windows = [window for window in self._windows if window is not None]
        return min(windows) if self._one_mask and windows else None

    def of(self, lengths: Lengths, device: torch.device) -> Mask:
        """The mask of one step, in the form that the model takes; None hides nothing."""
        if lengths.even and "linear_attention" not in self._names:
            return None
        end = lengths.longest + 1
        if _FLASH in self.implementation:
            return self._seen(lengths, end, None, device).long()
        windows = set(self._windows)
        closed = any(window is not None and end > window for window in windows)
        if "linear_attention" in self._names or (closed and len(windows) > 1):
            return {
                name: None
                if name == "linear_attention" or lengths.even
                else self._mask(lengths, end, window, device)
                for name, window in self._names.items()
            }
        return self._mask(lengths, end, self._windows[0] if closed else None, device)

    @property
    def fixed(self) -> bool:
        """Whether there are masks that can be made without knowing how long the rows are."""
        return self.implementation in ("sdpa", _ADDED) and "linear_attention" not in self._names

    def within(self, room: int, lengths: Lengths, device: torch.device) -> Mask:
        """The mask of a step that sees `room` columns, by the lengths as the device has them."""
        windows = set(self._windows)
        if len(windows) > 1 and not self._one_mask:
            return {
                name: self._mask(lengths, room, window, device)
                for name, window in self._names.items()
            }
        # Rows that the one mask wouldn't do for are alone.
        window = None if self._one_mask else self._windows[0]
        return self._mask(lengths, room, window, device)

    def _mask(self, lengths: Lengths, end: int, window: int | None, device: torch.device) -> Tensor:
        seen = self._seen(lengths, end, window, device)[:, None, None]
        if self.implementation != _ADDED:
            return seen
        shown = torch.zeros(seen.shape, dtype=self._dtype, device=device)
        return shown.masked_fill(~seen, torch.finfo(self._dtype).min)

    def _seen(self, lengths: Lengths, end: int, window: int | None, device: torch.device) -> Tensor:
        """Which columns each row sees, (rows, end) bool; the row's own newest is at its length."""
        columns, own = torch.arange(end, device=device), lengths.columns(device)[:, None]
        seen = columns <= own
        return seen if window is None else seen & (columns > own - window)


def _windows(model: PreTrainedModel) -> list[int | None]:
    layers = DynamicCache(config=model.config).layers
    return [getattr(layer, "sliding_window", None) for layer in layers]
