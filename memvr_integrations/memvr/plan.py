"""The settings and the visual memory of a batch, laid out as tensors a row."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, Self

import torch
from torch import Tensor

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr.config import MemVRConfig
from memvr_integrations.memvr.memory import VisualMemory
from memvr_integrations.memvr.uncertainty import threshold_tensor


def shared_config(rows: Sequence[MemVRConfig | None]) -> MemVRConfig | None:
    """Return the settings that shape the one formula of a batch; None where every row is off.

    Its window, threshold and ratio are the defaults: rows may differ in those.

    Raises:
        ConfigError: Two rows differ in a setting that a batch must share.
    """
    shared = [formula(config) for config in rows if config is not None]
    for other in shared[1:]:
        for field in fields(MemVRConfig):
            one, two = getattr(shared[0], field.name), getattr(other, field.name)
            if one != two:
                raise ConfigError(
                    f"Rows of one batch have {field.name}={one!r} and {two!r}; they may differ in "
                    "window, entropy_threshold and retracing_ratio alone. Run them as two batches."
                )
    return shared[0] if shared else None


def formula(config: MemVRConfig) -> MemVRConfig:
    """The settings that rows of one batch must share; the others as their defaults."""
    default = MemVRConfig()
    return replace(
        config,
        starting_layer=default.starting_layer,
        ending_layer=default.ending_layer,
        entropy_threshold=default.entropy_threshold,
        retracing_ratio=default.retracing_ratio,
    )


def window(config: MemVRConfig | None, layers: int) -> frozenset[int]:
    """Return the layers that a row probes in a decoder of `layers` layers; none where it is off.

    Raises:
        ConfigError: The window reaches beyond the decoder, or nothing in it can be retraced.
    """
    if config is None:
        return frozenset()
    if config.ending_layer > layers:
        raise ConfigError(
            f"ending_layer={config.ending_layer} is beyond the model's {layers} layers; set it to "
            f"{layers - 1} at most, or scale the window with config.for_depth({layers})."
        )
    # The last layer has no successor that could be retraced.
    probed = frozenset(range(config.starting_layer + 1, min(config.ending_layer, layers - 1)))
    if not probed:
        raise ConfigError(
            f"starting_layer={config.starting_layer} leaves nothing to retrace in {layers} layers; "
            f"set it to {layers - 3} at most."
        )
    return probed


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What a pass needs at every layer of one batch; nothing here waits for the device.

    Args:
        memory: One row a row of the batch.
        windows: The layers that each row probes; none where it cannot trigger.
        layers: The layers that any row probes, in order.
        able: (rows, 1) bool, which rows can trigger at all.
        eligible: By probed layer, which rows probe it: (rows, 1) bool.
        thresholds: (rows, 1) float32.
        ratios: (rows, 1) float32.
        gains: By retraced layer, the factor on the visual tokens: (rows,) float32.
    """

    memory: VisualMemory
    windows: tuple[frozenset[int], ...]
    layers: tuple[int, ...]
    able: Tensor
    eligible: dict[int, Tensor]
    thresholds: Tensor
    ratios: Tensor
    gains: dict[int, Tensor]

    @functools.cached_property
    def even(self) -> bool:
        """Whether all rows that can trigger probe the same layers."""
        return len({row for row in self.windows if row}) <= 1

    def exceeded(self, entropies: Tensor) -> Literal["none", "some", "all"]:
        """How many of (rows, decisions) entropies are above their row's threshold; waits for them.

        Numbers of Python are as exact, and quicker to compare where they are few.
        """
        values: list[list[float]] = entropies.tolist()
        above = [
            value > limit for row, limit in zip(values, self._limits, strict=True) for value in row
        ]
        return "none" if not any(above) else "all" if all(above) else "some"

    @functools.cached_property
    def _limits(self) -> list[float]:
        limits: list[float] = self.thresholds[:, 0].tolist()
        return limits

    @functools.cached_property
    def first(self) -> dict[int, Tensor]:
        """By layer, the rows whose window begins there: their numbers, (n,), on the device."""
        begins = [min(row, default=None) for row in self.windows]
        return {
            layer: torch.tensor(
                [row for row, begin in enumerate(begins) if begin == layer],
                dtype=torch.long,
                device=self.able.device,
            )
            for layer in self.layers
        }

    @classmethod
    def build(
        cls,
        memory: VisualMemory,
        configs: Sequence[MemVRConfig | None],
        can_trigger: Sequence[bool],
        *,
        depth: int,
        magnitude: Callable[[int], Tensor],
    ) -> Self:
        """Lay out a batch.

        Args:
            memory: One row a row of the batch.
            configs: As many settings; None leaves a row plain.
            can_trigger: Which rows have an image that can be used, see `VisualMemory.usable`.
            depth: The decoder's number of layers.
            magnitude: By layer, the mean magnitude of its FFN's up-projection, a float32 scalar;
                asked for under an activation alone.

        Raises:
            ConfigError: A window does not fit the decoder, or settings cannot be combined.
        """
        windows = tuple(
            window(config, depth) if able else frozenset()
            for config, able in zip(configs, can_trigger, strict=True)
        )
        layers = tuple(sorted(frozenset().union(*windows)))
        device = memory.features.device
        shared = shared_config(configs) or MemVRConfig()
        resolved = [config or shared for config in configs]
        thresholds = threshold_tensor([config.entropy_threshold for config in resolved])
        ratios = torch.tensor([config.retracing_ratio for config in resolved], dtype=torch.float32)
        return cls(
            memory=memory,
            windows=windows,
            layers=layers,
            able=torch.tensor([[bool(row)] for row in windows], device=device),
            eligible={
                layer: torch.tensor([[layer in row] for row in windows], device=device)
                for layer in layers
            },
            thresholds=thresholds[:, None].to(device),
            ratios=ratios[:, None].to(device),
            gains=_gains(memory, shared, layers, magnitude),
        )

    @classmethod
    def idle(cls, rows: int, device: torch.device) -> Self:
        """Return a plan of rows that cannot trigger."""
        memory = VisualMemory.empty(rows, device)
        nothing = [None] * rows
        return cls.build(memory, nothing, [False] * rows, depth=0, magnitude=torch.empty)

    def take(self, rows: Sequence[int]) -> Self:
        """Return the plan of some rows, in the order given; a row may come more than once."""
        index = torch.tensor(list(rows), dtype=torch.long, device=self.able.device)
        windows = tuple(self.windows[row] for row in rows)
        layers = tuple(sorted(frozenset().union(*windows)))
        return replace(
            self,
            memory=self.memory.select(rows),
            windows=windows,
            layers=layers,
            able=self.able[index],
            eligible={layer: self.eligible[layer][index] for layer in layers},
            thresholds=self.thresholds[index],
            ratios=self.ratios[index],
            gains={layer + 1: self.gains[layer + 1][index] for layer in layers},
        )

    def join(self, other: Self) -> Self:
        """Return a plan with the rows of another after one's own; both have one formula."""
        layers = tuple(sorted({*self.layers, *other.layers}))
        never = [torch.zeros_like(plan.able) for plan in (self, other)]
        # A row that doesn't probe a layer is never retraced after it, so any gain will do.
        any_gain = [
            torch.ones(len(plan.windows), device=plan.able.device) for plan in (self, other)
        ]
        return replace(
            self,
            memory=self.memory.join(other.memory),
            windows=self.windows + other.windows,
            layers=layers,
            able=torch.cat([self.able, other.able]),
            eligible={at: _joined(at, self.eligible, other.eligible, never) for at in layers},
            thresholds=torch.cat([self.thresholds, other.thresholds]),
            ratios=torch.cat([self.ratios, other.ratios]),
            gains={at + 1: _joined(at + 1, self.gains, other.gains, any_gain) for at in layers},
        )


def _joined(
    layer: int, own: dict[int, Tensor], other: dict[int, Tensor], without: Sequence[Tensor]
) -> Tensor:
    return torch.cat([own.get(layer, without[0]), other.get(layer, without[1])])


def _gains(
    memory: VisualMemory,
    config: MemVRConfig,
    layers: Sequence[int],
    magnitude: Callable[[int], Tensor],
) -> dict[int, Tensor]:
    mean_abs = memory.mean_abs.clamp_min(torch.finfo(torch.float32).tiny)
    if config.activation is None:
        # Without an activation any gain cancels; this one keeps half precision in range.
        gain = 1 / (mean_abs * memory.features.shape[-1] ** 0.5)
        return {layer + 1: gain for layer in layers}
    return {layer + 1: magnitude(layer + 1).to(mean_abs.device) / mean_abs for layer in layers}
