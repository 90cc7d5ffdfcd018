"""The second stage: tower, projector and language model learn to answer, all at once.

Beside the answers' loss stand smaller ones: a visual token should read as the word for what it
shows (this ties sight to words), the dense targets of the first stage are asked of the tower and
of the visual tokens (a projector that is only asked for words forgets where things are), and
wordings of one question should be as sure of the same answer. All but the last are asked of more
pictures than there are conversations about: looking costs little.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.pairs import compare
from bundled_model.training import patch_targets, slot_attention
from bundled_model.training.marking import marks
from bundled_model.training.model import build_model, kept_with, own_tokenizer
from bundled_model.training.packing import Packer
from bundled_model.training.stages import vision as vision_stage
from bundled_model.training.supply import Scenes, TrainingArt, pixels
from bundled_model.training.talker import Talker, answer_logits, disagreement, read_as_words
from bundled_model.training.trainer import Stage, TrainConfig
from memvr_integrations.bundled.world import Drawing, Scene
from memvr_integrations.errors import ModelLoadError

# Mostly the theme's habits: what is usual is part of what is learnt here.
DRAWING = Drawing(anything=0.2, crowds=0.06)
# Share of rows with questions about two pictures, by whether they are of one theme: other themes
# seldom share a thing, so a model that meets those alone says that two pictures never do.
_PAIRED = {True: 0.8, False: 0.2}
_READING, _DENSE, _AGREEING = 0.3, 0.3, 0.1  # weights of the smaller losses
_TOWER_SHARE = 0.5  # of the learning rate: the tower has learnt already
_HEADS = "heads.safetensors"


class JointStage(Stage):
    """Packed conversations for everything."""

    name = "joint"
    net: Talker
    work: Talker
    average: Talker

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        torch.manual_seed(config.seed)
        model = build_model(layers=config.layers, width=config.width, heads=config.heads)
        model.set_attn_implementation("eager")  # the tower's
        model.model.language_model.set_attn_implementation(slot_attention.NAME)
        super().__init__(config, folder, Talker(model))
        self.tokenizer = own_tokenizer(folder, first=self.rank == 0, begun=config.init)
        self.packer = Packer(self.tokenizer)
        art = TrainingArt(config.art, restyled=config.restyled)
        self.scenes = Scenes(art, config.themes, DRAWING)
        self.glanced = Scenes(art, config.themes, vision_stage.DRAWING)
        self._kind = next(self.work.parameters()).dtype

    def share(self, name: str) -> float:
        """The tower learns more slowly."""
        return _TOWER_SHARE if "vision_tower" in name else 1.0

    def begin(self) -> None:
        """Start from a finished model, from what was aligned, or from a tower that has learnt."""
        if self.config.init is not None:
            begun = LlavaForConditionalGeneration.from_pretrained(
                self.config.init, dtype=torch.float32
            )
            self.net.llava.load_state_dict(begun.state_dict())
            heads = kept_with(self.config.init, _HEADS)
            if heads.exists():
                self.net.load_state_dict(load_file(heads), strict=False)
            return
        aligned = self.folder / "align.pt"
        if aligned.exists() and self.name == "joint":
            state = torch.load(aligned, map_location=self.config.device)["average"]
            self.net.load_state_dict(state)
            return
        trained = self.folder / "vision.pt"
        if self.config.tower is not None:
            model = LlavaForConditionalGeneration.from_pretrained(
                self.config.tower, dtype=torch.float32
            )
            self.net.tower.load_state_dict(model.model.vision_tower.state_dict())
        elif trained.exists():
            state = torch.load(trained, map_location=self.config.device)["average"]
            for part, module in (("tower.", self.net.tower), ("heads.", self.net.heads)):
                found = {n.removeprefix(part): v for n, v in state.items() if n.startswith(part)}
                module.load_state_dict(found)

    def extra_state(self) -> dict[str, object]:
        """The vocabulary that the embedding belongs to."""
        return {"vocabulary": self.packer.vocabulary}

    def check_state(self, state: dict[str, object]) -> None:
        """Another tokenizer makes the weights worthless.

        Raises:
            ModelLoadError: It isn't the one that they were trained with.
        """
        if state["vocabulary"] != self.packer.vocabulary:
            raise ModelLoadError(
                f"{self.checkpoint} was trained with another tokenizer; put that one back "
                f"into {self.folder}, or begin in another folder."
            )

    def losses(self, rng: random.Random, noise: np.random.Generator) -> dict[str, Tensor]:
        """Answers, readings of visual tokens, dense targets and agreement."""
        drawn = self.scenes.batch(rng, self.config.batch // self.world, self.config.fresh)
        scenes = sorted(drawn, key=lambda scene: scene.theme)  # for what is asked of two pictures
        glances = self.glanced.batch(rng, self.config.glances // self.world, self.config.fresh)
        images = pixels([*scenes, *glances], noise).to(self.config.device, self._kind)
        truth = patch_targets.targets([*scenes, *glances]).to(self.config.device)
        rows = [self.packer.row_of(talks) for talks in self.talks(scenes, rng)]
        packed = slot_attention.in_slots(self.packer, rows, cropped=True)
        seen, features = self.work.see(images)
        logits, targets, same = self.answer(features[: len(scenes)], packed, rng)
        weight = self.packer.token_weights.to(logits.device)
        answers = F.cross_entropy(logits, targets, weight=weight)
        read = read_as_words(self.work.llava, self.packer, features)
        reading = patch_targets.patch_loss(read, truth.classes)
        # Normalised, as the decoder's first layer reads them.
        normed = F.rms_norm(features, features.shape[-1:])
        dense_losses = [
            self.work.heads.losses(seen, truth),
            self.work.readers.losses(normed, truth),
        ]
        margins = self._margins(logits)
        apart = disagreement(margins[same > 0], same[same > 0])
        looking = dense_losses[0]["loss"] + dense_losses[1]["loss"]
        total = answers + _READING * reading + _DENSE * looking + _AGREEING * apart
        return {
            "loss": total,
            "answers": answers,
            "patches": patch_targets.patch_accuracy(read, truth.classes),
            "boxes": dense_losses[1]["boxes"],
            "counts": dense_losses[1]["counts"],
            "yes/no": self._yes_no(margins, targets),
            "apart": apart,
        }

    def answer(
        self, features: Tensor, packed: slot_attention.Slots, rng: random.Random
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`answer_logits` of a batch."""
        return answer_logits(self.work.llava, self.packer, features, packed)

    def talks(self, scenes: Sequence[Scene], rng: random.Random) -> list[list[Talk]]:
        """Conversations about each scene; the second picture is the next row's."""
        rows = list[list[Talk]]()
        for scene, other in zip(scenes, [*scenes[1:], scenes[0]], strict=True):
            talks = Interview(scene, rng, self.config.themes).talks(self.config.turns)
            if rng.random() < _PAIRED[scene.theme == other.theme]:
                talks[1:3] = [compare(scene, other, rng, self.config.themes) for _ in range(2)]
            rows.append(talks)
        return rows

    def measure(self) -> dict[str, float]:
        """Shares of answers that are right to the letter, on watched scenes."""
        figures = marks(self.average, self.packer, self.config.art, self.config.themes, "")
        if self.config.watch:
            figures |= marks(
                self.average, self.packer, self.config.watch, self.config.themes, "unseen "
            )
        return figures

    def finished(self) -> LlavaForConditionalGeneration:
        """The average of the weights as a model in bfloat16, ready to be written."""
        model: LlavaForConditionalGeneration = self.average.llava.bfloat16()
        model.set_attn_implementation("sdpa")
        return model

    def save_heads(self, folder: Path) -> None:
        """Keep the heads beside a finished model, for training on."""
        state = self.average.state_dict().items()
        kept = {name: value for name, value in state if not name.startswith("llava.")}
        save_file(kept, folder / _HEADS)

    def _margins(self, logits: Tensor) -> Tensor:
        yes, no = (self.packer.encode(word)[0] for word in (" Yes", " No"))
        return logits[:, yes] - logits[:, no]

    def _yes_no(self, margins: Tensor, targets: Tensor) -> Tensor:
        yes, no = (self.packer.encode(word)[0] for word in (" Yes", " No"))
        asked = (targets == yes) | (targets == no)
        return ((margins[asked] > 0) == (targets[asked] == yes)).float().mean()
