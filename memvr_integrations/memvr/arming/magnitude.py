"""How large an FFN's up-projection is, which an activation needs."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from memvr_integrations.errors import UnsupportedModelError

_UP_PROJECTIONS = ("up_proj", "gate_up_proj", "dense_h_to_4h", "fc1", "c_fc", "w1")
_EXPERTS = ("shared_expert", "shared_experts", "experts")

# Reading all of a 7B model's up-projections costs more than a token; they hardly ever change.
_MAGNITUDES: WeakKeyDictionary[nn.Module, tuple[tuple[int, int], Tensor]] = WeakKeyDictionary()


def up_magnitude(ffn: nn.Module) -> Tensor:
    """Return the mean magnitude of an FFN's up-projection, a float32 scalar on its device.

    A fused gate and up projection counts whole, as the reference implementation has it.

    Raises:
        UnsupportedModelError: No up-projection was found.
    """
    weight, projection = _up_weight(ffn)
    key = (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
    known = _MAGNITUDES.get(ffn)
    if known is not None and known[0] == key:
        return known[1]
    with torch.no_grad():
        here = weight.is_floating_point() and not weight.is_meta
        dense = weight if here else _unpacked(projection, weight)
        norm = torch.linalg.vector_norm(dense, 1, dtype=torch.float32)
    magnitude: Tensor = norm / dense.numel()
    _MAGNITUDES[ffn] = (key, magnitude)
    return magnitude


def _up_weight(ffn: nn.Module) -> tuple[Tensor, nn.Module]:
    for name in _UP_PROJECTIONS:
        projection = getattr(ffn, name, None)
        weight = (
            projection if isinstance(projection, Tensor) else getattr(projection, "weight", None)
        )
        if isinstance(weight, Tensor):
            return weight, projection if isinstance(projection, nn.Module) else ffn
    for name in _EXPERTS:
        experts = getattr(ffn, name, None)
        if isinstance(experts, nn.Module):
            return _up_weight(experts)
    raise UnsupportedModelError(
        f"{type(ffn).__name__} has no up-projection that is known ({', '.join(_UP_PROJECTIONS)}), "
        "which an activation needs. Set activation=None, or pass memvr=None to run it plain."
    )


def _unpacked(projection: nn.Module, weight: Tensor) -> Tensor:
    # A quantised layer knows how to multiply, whatever its packing, and an offloaded one fetches
    # its weights when it is called: feed it the identity.
    width = getattr(projection, "in_features", None)
    if not isinstance(width, int):
        raise UnsupportedModelError(
            f"The packed or offloaded weights of {type(projection).__name__} cannot be read. "
            "Set activation=None, or pass memvr=None to run it plain."
        )
    device = "cpu" if weight.is_meta else weight.device
    dtype = weight.dtype if weight.is_floating_point() else torch.float16
    identity = torch.eye(width, device=device, dtype=dtype)
    bias = projection(torch.zeros_like(identity[:1]))
    dense: Tensor = projection(identity) - bias
    return dense
