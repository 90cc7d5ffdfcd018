"""RUDDER: one layer's attention over the prompt becomes a direction for all later tokens."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from memvr_integrations.backend.decoding.strategies.method import Forward, Method
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.errors import ConfigError, UnsupportedModelError
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.types.decoding import RudderConfig

_PUBLISHED = 30, 32  # layer, of so many


class Rudder(Method[RudderConfig]):
    """Steer after the attention of one layer; the logits that come out are left alone."""

    acts_inside = True

    def check(self) -> None:
        """Refuse a layer that isn't there, or has no self-attention."""
        attention_update(self.host, self._layer())

    @contextmanager
    def within(self, forward: Forward) -> Iterator[None]:
        """Read a prompt's direction, or steer by it."""
        layer = self._layer()
        steering = _Steering(self.config, forward)
        handles = [
            layer.register_forward_pre_hook(steering.enter, with_kwargs=True),
            attention_update(self.host, layer).register_forward_hook(steering.leave),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _layer(self) -> nn.Module:
        return find_anatomy(self.host.model).layers[steered_layer(self.host, self.config)]


def steered_layer(host: Host, config: RudderConfig) -> int:
    """The layer in a model of this depth.

    Raises:
        ConfigError: It lies beyond the last one.
    """
    if config.layer is None:
        layer, depth = _PUBLISHED
        return min(round(layer * host.layers / depth), host.layers - 1)
    if config.layer >= host.layers:
        raise ConfigError(
            f"layer={config.layer} is beyond {host.name}'s {host.layers} layers; set it to "
            f"{host.layers - 1} at most."
        )
    return config.layer


def attention_update(host: Host, layer: nn.Module) -> nn.Module:
    """The module whose output a layer adds to its residual stream as the attention's update.

    Raises:
        UnsupportedModelError: The layer has no self-attention.
    """
    sandwiched = hasattr(layer, "pre_feedforward_layernorm")
    names = ("post_self_attn_layernorm", "post_attention_layernorm" * sandwiched, "self_attn")
    found = next((getattr(layer, name) for name in names if name and hasattr(layer, name)), None)
    if not isinstance(found, nn.Module) or not hasattr(layer, "self_attn"):
        raise UnsupportedModelError(
            f"That layer of {host.name} has no self-attention, which decoding='rudder' steers by. "
            "Choose another with RudderConfig(layer=...)."
        )
    return found


class _Steering:
    """One forward pass: a prompt's is read, later ones are steered."""

    def __init__(self, config: RudderConfig, forward: Forward) -> None:
        self._config, self._forward = config, forward
        self._hidden: Tensor | None = None

    def enter(self, module: nn.Module, args: tuple[object, ...], named: dict[str, object]) -> None:
        """Note the residual stream before the layer."""
        hidden = args[0] if args else named["hidden_states"]
        assert isinstance(hidden, Tensor)
        self._hidden = hidden

    def leave(self, module: nn.Module, args: tuple[object, ...], out: object) -> object:
        """Read the direction off a prompt; add it to what comes later."""
        update = out[0] if isinstance(out, tuple) else out
        assert isinstance(update, Tensor)
        assert self._hidden is not None
        rows, places = self._forward.rows, torch.tensor(self._forward.places, device=update.device)
        if self._forward.prompt:
            for row, direction in zip(rows, self._pooled(update.float(), places), strict=True):
                row.carried["direction"] = direction
            return out
        direction = torch.stack([row.carried["direction"] for row in rows])[:, None]
        gate = self._gate(self._hidden[places].float(), direction)
        steered = update.clone()
        steered[places] += (self._config.strength * gate * direction).to(update.dtype)
        return (steered, *out[1:]) if isinstance(out, tuple) else steered

    def _pooled(self, updates: Tensor, places: Tensor) -> Tensor:
        """The direction of each row, (rows, dim), over its positions without padding."""
        updates = updates[places]
        weights = torch.ones_like(updates[..., :1])
        if self._forward.real is not None:
            weights = self._forward.real.to(updates.device)[places].float()[..., None]
        if self._config.pooling == "weighted":
            weights = weights * updates.norm(dim=-1, keepdim=True)
        return nn.functional.normalize((weights * updates).sum(1), dim=-1)

    def _gate(self, hidden: Tensor, direction: Tensor) -> Tensor:
        """How far the gate is open at each position, (rows, positions, 1)."""
        config = self._config
        aligned = nn.functional.cosine_similarity(hidden, direction, dim=-1)[..., None]
        trust = softplus(config.sensitivity * aligned + config.concentration)
        doubt = softplus(-config.sensitivity * aligned + config.concentration)
        return (trust / (trust + doubt)).clamp(config.gate_min, config.gate_max)
