"""Trains the bundled model from scratch: `python -m memvr_integrations.bundled.train`.

Two stages, both on scenes that are drawn as they are needed, so no picture is seen often:
`vision` teaches the image tower to name what is in each patch; `joint` then trains everything on
packed questions. The learning rate is constant until the last `--cooldown` steps. A run can be
stopped at any time (Ctrl-C saves) and goes on when the same command is given again; give more
`--steps` to train on. Under `torchrun --nproc-per-node N` N processes share each batch.
"""

import argparse
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import LlavaForConditionalGeneration

from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.bundled.art import SPRITES
from memvr_integrations.bundled.forms import form
from memvr_integrations.bundled.model import (
    VISION_WIDTH,
    build_model,
    save,
)
from memvr_integrations.bundled.packing import Packer, Row
from memvr_integrations.bundled.questions import Turn, ask
from memvr_integrations.bundled.scenes import FIRST_THEMES, Scene
from memvr_integrations.bundled.supply import Scenes, TrainingArt, patch_labels, pixels
from memvr_integrations.bundled.words import CLASSES, THEMES

_FORMS = 0.3  # share of pictures about which a schema is filled in, too
_BACKGROUND_WEIGHT = 0.3  # most patches are background; at full weight the tower learns only that


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of a training run; `steps` and `cooldown` count optimiser steps."""

    stage: str = "joint"
    themes: tuple[str, ...] = FIRST_THEMES
    steps: int = 6000
    cooldown: int = 1200
    batch: int = 16
    fresh: float = 0.5
    turns: int = 10
    peak_lr: float = 1.5e-3
    layers: int = 12
    width: int = 128
    heads: int = 4
    device: str = "cpu"
    threads: int = 0
    seed: int = 0
    save_minutes: float = 4.0
    init: Path | None = None
    art: Path = SPRITES
    restyled: float = 0.6


def patch_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over patches, background weighted down; `logits` (batch, patches, classes)."""
    weight = torch.ones(len(CLASSES) + 1, device=logits.device)
    weight[0] = _BACKGROUND_WEIGHT
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight=weight)


class Trainer:
    """One stage of one run, with its checkpoint."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.rank, self.world = 0, 1
        if dist.is_initialized():
            self.rank, self.world = dist.get_rank(), dist.get_world_size()
        torch.manual_seed(config.seed)
        self.model = build_model(layers=config.layers, width=config.width, heads=config.heads)
        self.probe = nn.Sequential(
            nn.LayerNorm(VISION_WIDTH), nn.Linear(VISION_WIDTH, len(CLASSES) + 1)
        )
        nn.Module.to(self.model, config.device)
        self.probe.to(config.device)
        art = TrainingArt(config.art, restyled=config.restyled)
        self.scenes, self.packer = Scenes(art, config.themes), Packer()
        parameters = (
            [*self.tower.parameters(), *self.probe.parameters()]
            if config.stage == "vision"
            else list(self.model.parameters())
        )
        self.optimizer = torch.optim.AdamW(
            parameters, lr=config.peak_lr, weight_decay=0.03, betas=(0.9, 0.98)
        )
        self.step, self.seconds = 0, 0.0

    @property
    def tower(self) -> nn.Module:
        """The image tower."""
        tower: nn.Module = self.model.model.vision_tower
        return tower

    @property
    def checkpoint(self) -> Path:
        """Where this stage keeps what it needs to go on."""
        return self.folder / f"{self.config.stage}.pt"

    def resume(self) -> None:
        """Go on from this stage's checkpoint, or begin with `init` or the trained tower."""
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, map_location=self.config.device)
            if state.get("vocabulary", self.packer.vocabulary) != self.packer.vocabulary:
                raise ValueError(
                    f"{self.checkpoint} was trained with another tokenizer; put that one back "
                    f"into {WEIGHTS}, or begin in another folder."
                )
            self.model.load_state_dict(state["model"])
            self.probe.load_state_dict(state["probe"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
        elif self.config.stage == "joint" and self.config.init is not None:
            begun = LlavaForConditionalGeneration.from_pretrained(
                self.config.init, dtype=torch.float32
            )
            self.model.load_state_dict(begun.state_dict())
        elif self.config.stage == "joint" and (self.folder / "vision.pt").exists():
            state = torch.load(self.folder / "vision.pt", map_location=self.config.device)
            self.model.load_state_dict(state["model"])

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.rank > 0:
            return
        state = {
            "model": self.model.state_dict(),
            "probe": self.probe.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "vocabulary": self.packer.vocabulary,
            "step": self.step,
            "seconds": self.seconds,
        }
        half = self.checkpoint.with_suffix(".part")
        torch.save(state, half)
        half.replace(self.checkpoint)

    def run(self) -> None:
        """Train until `steps`; an interrupt saves and leaves."""
        self.resume()
        self.model.train()
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        average: dict[str, float] = {}
        bar = tqdm(
            desc=self.config.stage,
            total=self.config.steps,
            initial=self.step,
            unit="step",
            disable=self.rank > 0,
        )
        try:
            while self.step < self.config.steps:
                self._set_learning_rate()
                for name, value in self._one_step().items():
                    average[name] = 0.97 * average.get(name, value) + 0.03 * value
                self.step += 1
                self.seconds = time.monotonic() - started
                bar.set_postfix({name: f"{value:.3f}" for name, value in average.items()}, False)
                bar.update()
                if self.step % 50 == 0:
                    self._log(average)
                if time.monotonic() - saved > self.config.save_minutes * 60:
                    self.save()
                    saved = time.monotonic()
        finally:
            self.save()
            bar.close()

    def _set_learning_rate(self) -> None:
        left = (self.config.steps - self.step) / max(self.config.cooldown, 1)
        rate = self.config.peak_lr * min(1, (self.step + 1) / 100) * max(0.02, min(1, left))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _one_step(self) -> dict[str, float]:
        rng = random.Random(f"{self.config.seed} {self.config.stage} {self.step} {self.rank}")
        noise = np.random.default_rng(rng.getrandbits(64))
        size = self.config.batch // self.world
        scenes = self.scenes.batch(rng, size, self.config.fresh)
        images = pixels(scenes, noise).to(self.config.device)
        labels = patch_labels(scenes).to(self.config.device)
        if self.config.stage == "vision":
            losses = self._vision_loss(images, labels)
        else:
            losses = self._joint_loss(scenes, images, labels, rng)
        self.optimizer.zero_grad()
        losses["loss"].backward()
        parameters = self.optimizer.param_groups[0]["params"]
        if self.world > 1:
            _average_gradients(parameters, self.world)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()
        return {name: float(value.detach()) for name, value in losses.items()}

    def _vision_loss(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        # LLaVA reads the tower's last layer before the tower's own norm.
        seen = self.tower(pixel_values=images, output_hidden_states=True).hidden_states[-1]
        logits = self.probe(seen)
        return {"loss": patch_loss(logits, labels), "patches": _patch_accuracy(logits, labels)}

    def _joint_loss(
        self, scenes: list[Scene], images: Tensor, labels: Tensor, rng: random.Random
    ) -> dict[str, Tensor]:
        packer = self.packer
        rows = [packer.row(self._turns(scene, rng), rng) for scene in scenes]
        features = self.see(images)
        logits, targets = self.answer_logits(features, rows)
        weight = packer.token_weights.to(images.device)
        answers = F.cross_entropy(logits, targets, weight=weight)
        # A patch's embedding should read as the word for what it shows: this ties sight to words.
        words = self.model.model.language_model.norm(features)
        read = self.model.lm_head(words)[..., packer.class_tokens]
        return {
            "loss": answers + 0.5 * patch_loss(read, labels),
            "answers": answers,
            "patches": _patch_accuracy(read, labels),
            "yes/no": self._yes_no_accuracy(logits, targets),
        }

    def _turns(self, scene: Scene, rng: random.Random) -> list[Turn]:
        turns = ask(scene, rng, self.config.turns, self.config.themes)
        if rng.random() < _FORMS:  # a schema is long: it takes the place of several questions
            del turns[3:]
            turns.append(form(scene, rng, self.config.themes))
        return turns

    def answer_logits(self, features: Tensor, rows: list[Row]) -> tuple[Tensor, Tensor]:
        """Logits (tokens, vocabulary) and targets (tokens,) of all answer tokens of packed rows.

        `features` (rows, tokens, width) are the visual tokens of each row's image.
        """
        device = features.device
        ids, targets, positions, mask = (part.to(device) for part in self.packer.pack(rows))
        embed = self.model.get_input_embeddings()
        start = torch.tensor(self.packer.before_image, device=device)
        before = embed(start).expand(len(rows), -1, -1)
        hidden = self.model.model.language_model(
            inputs_embeds=torch.cat([before, features, embed(ids)], 1),
            attention_mask=mask,
            position_ids=positions,
            use_cache=False,
        ).last_hidden_state[:, self.packer.prefix :]
        wanted = targets[:, 1:] >= 0
        return self.model.lm_head(hidden[:, :-1][wanted]), targets[:, 1:][wanted]

    def see(self, images: Tensor) -> Tensor:
        """Visual tokens (batch, tokens, width), by the very path of inference."""
        return torch.stack(self.model.get_image_features(images).pooler_output)

    def _yes_no_accuracy(self, logits: Tensor, targets: Tensor) -> Tensor:
        yes, no = (self.packer.encode(word)[0] for word in (" Yes", " No"))
        asked = (targets == yes) | (targets == no)
        said_yes = logits[asked][:, yes] > logits[asked][:, no]
        return (said_yes == (targets[asked] == yes)).float().mean()

    def _log(self, average: dict[str, float]) -> None:
        if self.rank > 0:
            return
        line = {"stage": self.config.stage, "step": self.step, "minutes": self.seconds / 60}
        line |= average | {"images/s": self.step * self.config.batch / self.seconds}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")


def _average_gradients(parameters: list[Tensor], world: int) -> None:
    """Make every process's gradients their mean."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, (flat / world).split(sizes), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _patch_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    there = labels > 0
    return (logits.argmax(-1) == labels)[there].float().mean()


def main() -> None:
    """Parse the options, train the stages, write the finished model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("bundled-run"), help="checkpoints, log")
    parser.add_argument("--out", type=Path, help="where the finished model goes: FOLDER/model")
    parser.add_argument("--themes", default=",".join(FIRST_THEMES), help=", ".join(THEMES))
    parser.add_argument("--init", type=Path, help="a finished model to train on, no vision stage")
    parser.add_argument("--art", type=Path, default=SPRITES, help="sprites: see bundled.art --more")
    parser.add_argument(
        "--restyled", type=float, default=TrainConfig.restyled, help="share drawn anew, 0 to 1"
    )
    parser.add_argument("--vision-steps", type=int, default=2500)
    parser.add_argument("--steps", type=int, default=TrainConfig.steps)
    parser.add_argument("--cooldown", type=int, default=TrainConfig.cooldown)
    parser.add_argument("--lr", type=float, default=TrainConfig.peak_lr, help="highest rate")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    args = parser.parse_args()
    themes = tuple(args.themes.split(","))
    if unknown := set(themes) - set(THEMES):
        parser.error(f"no such theme: {', '.join(unknown)}; there are {', '.join(THEMES)}")
    if args.threads:
        torch.set_num_threads(args.threads)
    args.folder.mkdir(parents=True, exist_ok=True)
    if dist.is_torchelastic_launched():
        dist.init_process_group("gloo")
    shared = {
        "themes": themes, "device": args.device, "art": args.art, "restyled": args.restyled
    }  # fmt: skip
    vision = TrainConfig(
        stage="vision", steps=args.vision_steps, cooldown=args.vision_steps // 3,
        batch=48, fresh=0.3, peak_lr=1.0e-3, **shared,
    )  # fmt: skip
    joint = TrainConfig(
        steps=args.steps, cooldown=args.cooldown, peak_lr=args.lr, init=args.init, **shared
    )
    if args.init is None:
        Trainer(vision, args.folder).run()
    trainer = Trainer(joint, args.folder)
    trainer.run()
    if trainer.rank == 0:
        out = args.out or args.folder / "model"
        save(trainer.model.bfloat16(), out)
        print(f"wrote {out}; once it is measured and better, copy it to {WEIGHTS}")


if __name__ == "__main__":
    main()
