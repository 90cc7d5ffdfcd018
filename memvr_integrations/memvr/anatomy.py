"""Finding in a model what MemVR needs, by what the parts can do and not by the model's name."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from memvr_integrations.errors import UnsupportedModelError

_NORMS = ("norm", "final_layernorm", "final_layer_norm", "ln_f")
_UP_PROJECTIONS = ("up_proj", "gate_up_proj", "dense_h_to_4h", "fc1", "c_fc", "w1")
_EXPERTS = ("shared_expert", "shared_experts", "experts")


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy:
    """The parts of an image-text-to-text model that MemVR reads or hooks.

    `vision` is the module whose `get_image_features` the model calls; `softcap` bounds the head's
    logits where a family does that.
    """

    decoder: nn.Module
    layers: tuple[nn.Module, ...]
    ffns: tuple[nn.Module, ...]
    norm: nn.Module
    head: nn.Module
    vision: nn.Module
    image_token_id: int
    softcap: float | None


def find_anatomy(model: nn.Module) -> Anatomy:
    """Find the decoder, its FFNs, norm and head, and the source of image features.

    Raises:
        UnsupportedModelError: A part is missing; the message says which.
    """
    decoder = _call(model, "get_decoder")
    layers = getattr(decoder, "layers", None)
    if not isinstance(decoder, nn.Module) or not isinstance(layers, nn.ModuleList) or not layers:
        raise _unsupported(model, f"has no decoder layers that can be found in {_name(decoder)}")
    ffns = [getattr(layer, "mlp", None) for layer in layers]
    found = tuple(ffn for ffn in ffns if isinstance(ffn, nn.Module))
    if len(found) != len(layers):
        raise _unsupported(model, f"has no `.mlp` in its decoder layer {ffns.index(None)}")
    norm = next((getattr(decoder, name) for name in _NORMS if hasattr(decoder, name)), None)
    if not isinstance(norm, nn.Module):
        raise _unsupported(model, f"has no final norm in {_name(decoder)}")
    head = _call(model, "get_output_embeddings")
    if not isinstance(head, nn.Module):
        raise _unsupported(model, "has no language-model head")
    vision = getattr(model, "base_model", model)
    if not isinstance(vision, nn.Module) or not hasattr(vision, "get_image_features"):
        raise _unsupported(model, "has no `get_image_features`")
    config = getattr(model, "config", None)
    image_token_id = getattr(config, "image_token_id", getattr(config, "image_token_index", None))
    if not isinstance(image_token_id, int):
        raise _unsupported(
            model, "has no `config.image_token_id`, so its images lie not in the prompt"
        )
    softcap = getattr(getattr(decoder, "config", None), "final_logit_softcapping", None)
    return Anatomy(
        decoder=decoder,
        layers=tuple(layers),
        ffns=found,
        norm=norm,
        head=head,
        vision=vision,
        image_token_id=image_token_id,
        softcap=softcap,
    )


def _call(model: nn.Module, name: str) -> object:
    method = getattr(model, name, None)
    try:
        found: object = method() if callable(method) else None
    except (AttributeError, NotImplementedError):
        return None
    return found


def _name(part: object) -> str:
    return "the model" if part is None else type(part).__name__


def _unsupported(model: nn.Module, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{type(model).__name__} {reason}, so MemVR cannot attach. Pass memvr=None to run it plain."
    )


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
