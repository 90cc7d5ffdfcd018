"""One stage of a training run: its loop, its checkpoint, its log.

Arithmetic is done on a copy of the weights in a precision of its own (see precision.py), the
weights themselves are float32, and beside them runs their average, which is what is measured and
what a finished model is made of.
"""

import copy
import hashlib
import io
import json
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from bundled_model.training.curve import draw_curves
from bundled_model.training.optimizer import MuonAdamW
from memvr_integrations.bundled.world import SPRITES, THEMES

CURVES = "curves.svg"
_AVERAGING = 0.999
_WARM_UP = 100
_LOG_EVERY = 50
_MATRICES_OF = ("layers.", "projector")  # embeddings and heads are AdamW's


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of one stage; `steps` and `cooldown` count optimiser steps, `batch` pictures.

    `glances` counts pictures beside those, which are looked at but not talked about, and
    `practised` those that a practice asks about in its own kinds of questions, as many of each as
    `mix` says. `fresh` is the share of a batch that was never seen before, `restyled` the share of
    its art that is drawn anew, `watch` a file of sprites that are only measured on. `init` is a
    finished model to train on,
    `tower` one of which the image tower alone is taken. Which scenes are drawn follows from `seed`
    and from the weights of `init`: what a model was trained on isn't shown again when it goes on.
    """

    themes: tuple[str, ...] = tuple(THEMES)
    steps: int
    cooldown: int
    batch: int
    fresh: float
    peak_lr: float
    restyled: float = 0.75
    turns: int = 16
    glances: int = 0
    practised: int = 0
    mix: Mapping[str, float] = field(default_factory=dict)
    layers: int = 12
    width: int = 192
    heads: int = 6
    device: str = "cpu"
    precision: str = "bfloat16"
    seed: int = 0
    save_minutes: float = 1.0
    measure_every: int = 500
    init: Path | None = None
    tower: Path | None = None
    art: Path = SPRITES
    watch: Path | None = None


class Stage(ABC):
    """A stage under way; a subclass holds the net, its losses and its measurements."""

    name: str

    def __init__(self, config: TrainConfig, folder: Path, net: nn.Module) -> None:
        self.config, self.folder = config, folder
        self.rank, self.world = 0, 1
        if dist.is_initialized():
            self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.net = net.to(config.device)
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        kind: torch.dtype = getattr(torch, config.precision)
        self.work = copy.deepcopy(self.net).train().to(kind)
        for module in (self.net, self.work):
            for parameter_name, parameter in module.named_parameters():
                parameter.requires_grad_(self.trains(parameter_name))
        chosen = {name: p for name, p in self.net.named_parameters() if p.requires_grad}
        matrices = {
            name: parameter
            for name, parameter in chosen.items()
            if parameter.ndim > 1 and any(part in name for part in _MATRICES_OF)
        }
        others = [parameter for name, parameter in chosen.items() if name not in matrices]
        shares = [self.share(name) for name in matrices]
        self.optimizer = MuonAdamW(matrices.values(), others, shares=shares, kind=kind)
        self.step, self.seconds = 0, 0.0
        begun = "" if config.init is None else f" {_digest(config.init)}"
        self._seed = f"{config.seed}{begun} {self.name}"

    @abstractmethod
    def losses(self, rng: random.Random, noise: np.random.Generator) -> dict[str, Tensor]:
        """The losses of a new batch by `work`, "loss" to be made small."""

    @abstractmethod
    def measure(self) -> dict[str, float]:
        """Figures of `average` on scenes that are not trained on."""

    def trains(self, name: str) -> bool:
        """Whether a parameter is trained at all."""
        return True

    def share(self, name: str) -> float:
        """By which share of the learning rate a matrix is stepped."""
        return 1.0

    def begin(self) -> None:  # noqa: B027
        """Fill `net` where there is no checkpoint yet; weights are random otherwise."""

    def extra_state(self) -> dict[str, object]:
        """What else a checkpoint has to hold; `check_state` gets it back."""
        return {}

    def check_state(self, state: dict[str, object]) -> None:  # noqa: B027
        """Refuse a checkpoint that doesn't fit."""

    @property
    def log(self) -> Path:
        """The log of all stages, a line of JSON every few steps."""
        return self.folder / "log.jsonl"

    @property
    def checkpoint(self) -> Path:
        """Where this stage keeps what it needs to go on."""
        return self.folder / f"{self.name}.pt"

    def resume(self) -> None:
        """Go on from this stage's checkpoint, or begin: the first process does, for all of them."""
        if self.rank == 0:
            if self.checkpoint.exists():
                self._load(self.checkpoint)
            else:
                self.begin()
                self.average.load_state_dict(self.net.state_dict())
            self._forget_later_lines()
        if self.world > 1:
            written = io.BytesIO()
            torch.save(self._state(), written)
            of_first = [written.getvalue()]
            dist.broadcast_object_list(of_first)
            self._load(io.BytesIO(of_first[0]))

    def save(self) -> None:
        """Write the checkpoint, whole or not at all, and the curve so far."""
        if self.rank > 0:
            return
        half = self.checkpoint.with_suffix(".part")
        torch.save(self._state(), half)
        half.replace(self.checkpoint)
        if self.log.exists():
            draw_curves(self.log, self.folder / CURVES)

    def run(self) -> None:
        """Train until `steps`.

        Raises:
            KeyboardInterrupt: A signal asked some process to stop. All of them ended the same step,
                and the checkpoint is written.
        """
        self.resume()
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        smooth: dict[str, float] = {}
        with self._noting_signals(), self._bar() as bar:
            while self.step < self.config.steps and not self._stops():
                for name, value in self.one_step().items():
                    smooth[name] = 0.97 * smooth.get(name, value) + 0.03 * value
                self.step += 1
                self.seconds = time.monotonic() - started
                bar.set_postfix({name: f"{value:.3f}" for name, value in smooth.items()}, False)
                bar.update()
                if self.step % _LOG_EVERY == 0 or self.step == self.config.steps:
                    self._log(smooth)
                if time.monotonic() - saved > self.config.save_minutes * 60:
                    self.save()
                    saved = time.monotonic()
            self.save()
            # Asking waits for every process, so none goes on, or ends, before that is written.
            if self._stops():
                raise KeyboardInterrupt

    def _state(self) -> dict[str, object]:
        return self.extra_state() | {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def _load(self, written: Path | io.BytesIO) -> None:
        state = torch.load(written, map_location=self.config.device)
        self.check_state(state)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    @contextmanager
    def _noting_signals(self) -> Iterator[None]:
        """Within the `with`, Ctrl-C and SIGTERM break nothing off, however often they come.

        torchrun sends a SIGTERM after a Ctrl-C.
        """
        self._asked_to_stop = False

        def note(*_: object) -> None:
            self._asked_to_stop = True

        before = {kind: signal.signal(kind, note) for kind in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def _stops(self) -> bool:
        """Whether any process was asked to stop: asked in all of them, answered alike."""
        stop = torch.tensor(int(self._asked_to_stop))
        if self.world > 1:
            dist.all_reduce(stop, dist.ReduceOp.MAX)
        return bool(stop)

    def _bar(self) -> "tqdm[None]":
        return tqdm(
            desc=self.name,
            total=self.config.steps,
            initial=self.step,
            unit="step",
            disable=self.rank > 0,
            mininterval=2,
        )

    def learning_rate(self) -> float:
        """Warm up, stay, and cool down over the last steps."""
        left = (self.config.steps - self.step) / max(self.config.cooldown, 1)
        return self.config.peak_lr * min(1, (self.step + 1) / _WARM_UP) * max(0.01, min(1, left))

    def one_step(self) -> dict[str, float]:
        """Forward, backward, update."""
        rng = random.Random(f"{self._seed} {self.step} {self.rank}")
        noise = np.random.default_rng(rng.getrandbits(64))
        self._copy_weights()
        losses = self.losses(rng, noise)
        losses["loss"].backward()
        self._hand_over_gradients()
        nn.utils.clip_grad_norm_(self.optimizer.parameters, 1.0)
        self.optimizer.step(self.learning_rate())
        keep = min(_AVERAGING, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.net.parameters(), self.work.parameters(), strict=True)

    @torch.no_grad()
    def _copy_weights(self) -> None:
        for kept, used in self._pairs():
            used.copy_(kept)
            used.grad = None

    def _hand_over_gradients(self) -> None:
        """Give the float32 weights the mean of all processes' gradients."""
        pairs = list(self._pairs())
        flat = torch.cat(
            [
                torch.zeros_like(kept).flatten()
                if used.grad is None
                else used.grad.float().flatten()
                for kept, used in pairs
            ]
        )
        if self.world > 1:
            dist.all_reduce(flat)
            flat /= self.world
        for (kept, _), part in zip(pairs, flat.split([k.numel() for k, _ in pairs]), strict=True):
            kept.grad = part.view_as(kept)

    def _log(self, smooth: dict[str, float]) -> None:
        if self.rank > 0:
            return
        line: dict[str, object] = {
            "stage": self.name, "step": self.step, "minutes": round(self.seconds / 60, 2)
        }  # fmt: skip
        line |= {name: round(value, 4) for name, value in smooth.items()}
        line["images/s"] = round(self.step * self.config.batch / self.seconds, 1)
        if self.step % self.config.measure_every == 0:
            self.save()  # torchrun kills after 30 seconds, and measuring may take longer
            line |= {name: round(value, 4) for name, value in self.measure().items()}
        with self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")

    def _forget_later_lines(self) -> None:
        """A run that was killed has logged steps that no checkpoint holds: they come again."""
        if not self.log.exists():
            return
        lines = self.log.read_text().splitlines(keepends=True)
        entries = [json.loads(line) for line in lines]
        kept = [
            line
            for line, one in zip(lines, entries, strict=True)
            if one["stage"] != self.name or one["step"] <= self.step
        ]
        self.log.write_text("".join(kept))


def _digest(model: Path) -> str:
    return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
