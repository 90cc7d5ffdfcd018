"""RUDDER: one layer's attention over the prompt becomes a direction for all later tokens."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.logit_rules import Rule
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.errors import ConfigError, UnsupportedModelError
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.types.decoding import RudderConfig

_PUBLISHED = 30, 32  # layer, of so many


class Rudder(Method[RudderConfig]):
    """Steer after the attention of one layer; the logits that come out are left alone."""

    def check(self) -> None:
        """Refuse a layer that isn't there, or has no self-attention."""
        attention_update(self.host, self._layer())

    @contextmanager
    def rule(self, rows: Sequence[Row]) -> Iterator[Rule]:
        """Hook the layer while the batch runs."""
        layer = self._layer()
        steering = _Steering(self.config, [row.prompt.length for row in rows])
        handles = [
            layer.register_forward_pre_hook(steering.enter, with_kwargs=True),
            attention_update(self.host, layer).register_forward_hook(steering.leave),
        ]
        try:
            yield lambda ids, own: own
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
    """The state of one batch: its direction, known once the prompt was read."""

    def __init__(self, config: RudderConfig, lengths: Sequence[int]) -> None:
        self._config, self._lengths = config, lengths
        self._direction: Tensor | None = None
        self._hidden: Tensor | None = None

    def enter(self, module: nn.Module, args: tuple[object, ...], named: dict[str, object]) -> None:
        """Note the residual stream before the layer."""
        hidden = args[0] if args else named["hidden_states"]
        assert isinstance(hidden, Tensor)
        self._hidden = hidden

    def leave(self, module: nn.Module, args: tuple[object, ...], out: object) -> object:
        """Read the direction off the prompt; add it to what comes later."""
        update = out[0] if isinstance(out, tuple) else out
        assert isinstance(update, Tensor)
        if self._direction is None:
            self._direction = self._pooled(update.float())
            return out
        assert self._hidden is not None
        direction = self._direction[:, None]
        gate = self._gate(self._hidden.float(), direction)
        steered = update + (self._config.strength * gate * direction).to(update.dtype)
        return (steered, *out[1:]) if isinstance(out, tuple) else steered

    def _pooled(self, updates: Tensor) -> Tensor:
        """The direction of each row, (rows, dim), over its positions without padding."""
        width = updates.shape[1]
        first = torch.tensor([width - length for length in self._lengths], device=updates.device)
        real = torch.arange(width, device=updates.device) >= first[:, None]
        weights = real.float()[..., None]
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
