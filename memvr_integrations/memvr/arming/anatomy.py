"""Finding in a model what MemVR needs, by what the parts can do and not by the model's name."""

from dataclasses import dataclass

from torch import Tensor, nn

from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr.arming.magnitude import up_magnitude

_NORMS = ("norm", "final_layernorm", "final_layer_norm", "ln_f")


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

    def magnitude(self, layer: int) -> Tensor:
        """The mean magnitude of the up-projection of a layer's FFN, see `up_magnitude`."""
        return up_magnitude(self.ffns[layer])


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
