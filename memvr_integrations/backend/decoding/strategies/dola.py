"""Decoding by contrasting layers: hooks read early layers, each row takes the one that differs."""

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.logit_rules import contrast, keep_plausible
from memvr_integrations.backend.decoding.strategies.method import Forward, Method
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr.arming.anatomy import Anatomy, find_anatomy
from memvr_integrations.memvr.uncertainty import capped
from memvr_integrations.types.decoding import DoLaConfig


class DoLa(Method[DoLaConfig]):
    """`log p - alpha log p_early`, cut to what is plausible by p."""

    acts_inside = True

    def check(self) -> None:
        """Refuse layers that the model hasn't."""
        early_layers(self.host, self.config)

    @contextmanager
    def within(self, forward: Forward) -> Iterator[None]:
        """Note what goes into the early layers."""
        layers = early_layers(self.host, self.config)
        seen: dict[int, Tensor] = {}

        def note(layer: int, module: nn.Module, args: tuple[object, ...], named: object) -> None:
            states = args[0] if args else named["hidden_states"]  # type: ignore[index]
            assert isinstance(states, Tensor)
            seen[layer] = states[:, -1]

        with ExitStack() as hooks:
            for layer in layers:
                # What goes into layer j is what the first j layers made; j = 0 are the embeddings.
                handle = (
                    find_anatomy(self.host.model)
                    .layers[layer]
                    .register_forward_pre_hook(functools.partial(note, layer), with_kwargs=True)
                )
                hooks.callback(handle.remove)
            yield
        for row, place in zip(forward.rows, forward.places, strict=True):
            row.carried["early"] = torch.stack([seen[layer][place] for layer in layers])

    def scores(self, rows: Sequence[Row], own: Tensor, other: Tensor | None) -> Tensor:
        """Contrast each row with the early layer that differs most."""
        config = self.config
        states = torch.stack([row.carried["early"] for row in rows], dim=1)
        early = _early(find_anatomy(self.host.model), states, config).to(own.device)
        chosen = divergence(own.log_softmax(-1), early).argmax(0)
        latest = early[chosen, torch.arange(len(own), device=own.device)]
        return keep_plausible(contrast(own, latest, 1.0, config.alpha), own, config.beta)


def early_layers(host: Host, config: DoLaConfig) -> list[int]:
    """The candidates in a model of this depth.

    Raises:
        ConfigError: One lies beyond the last layer.
    """
    depth = host.layers
    if not isinstance(config.layers, str):
        if config.layers[-1] >= depth:
            raise ConfigError(
                f"layers={list(config.layers)} reaches beyond {host.name}'s {depth} layers; the "
                f"last that can be contrasted is {depth - 1}."
            )
        return list(config.layers)
    half = depth // 2
    if config.layers == "high":
        return list(range(half, depth, 2))
    # With tied weights the embeddings say nothing but the token that was read.
    return list(range(2 if _tied(host) and half > 2 else 0, max(half, 1), 2))


def divergence(late: Tensor, early: Tensor) -> Tensor:
    """Jensen-Shannon divergence of each early layer to the last one, a row at a time.

    Shapes: log-probabilities (rows, vocabulary) and (layers, rows, vocabulary) give (layers, rows).
    """
    middle = torch.logaddexp(late[None], early) - math.log(2)
    return (_relative(late[None], middle) + _relative(early, middle)) / 2


def _relative(one: Tensor, other: Tensor) -> Tensor:
    return torch.where(one.isfinite(), one.exp() * (one - other), 0.0).sum(-1)


def _early(anatomy: Anatomy, states: Tensor, config: DoLaConfig) -> Tensor:
    """Log-probabilities of the candidates, (layers, rows, vocabulary)."""
    said = []
    for hidden in states:
        normed = anatomy.norm(hidden) if config.norm_before_head else hidden
        said.append(capped(anatomy.head(normed).float(), anatomy.softcap).log_softmax(-1))
    return torch.stack(said)


def _tied(host: Host) -> bool:
    head, read = host.model.get_output_embeddings(), host.model.get_input_embeddings()
    return getattr(head, "weight", None) is getattr(read, "weight", False)
