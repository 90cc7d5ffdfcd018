"""Trains projector and low-rank changes on pictures, and on what the base says by itself.

Two losses a step. Conversations about pictures, packed as those of the box model, are learnt to
the letter. Of the base's own answers to plain questions its whole next-word distribution is learnt
(a distillation), so that the language stays as it was; what it answered to open questions about
pictures, given the truth in words, is learnt as if seen.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.interview import Interview
from bundled_model.conversations.questions import Turn
from bundled_model.real_language.adapters import Learner, adapt
from bundled_model.real_language.chat import ChatPacker
from bundled_model.real_language.replay import Said, open_scene
from bundled_model.real_language.words import fit_words
from bundled_model.training import slot_attention
from bundled_model.training.marking import marks
from bundled_model.training.stages.joint import DRAWING
from bundled_model.training.supply import Scenes, TrainingArt, pixels
from bundled_model.training.talker import answer_logits
from bundled_model.training.trainer import Stage, TrainConfig
from memvr_integrations.bundled.world import Scene

_TALKS = 12  # about one picture, after its caption
_CAPTION = 0.7  # share of pictures that are described
_PLAIN, _PLAIN_LONGEST = 6, 160  # plain conversations a step, and their tokens
_DISTILLED = 384  # places at which distributions are compared, a step
_KEEPING = 1.0  # weight of that loss
_OPEN = 0.25  # share of pictures with an open question, which the base answered
_MIX = {
    "exists": 0.40, "exists color": 0.05, "count": 0.11, "color": 0.07, "where": 0.07,
    "list": 0.05, "theme": 0.02, "is theme": 0.02, "what is where": 0.03, "group": 0.03,
    "related": 0.04, "besides": 0.02, "unknowable": 0.03, "follow up": 0.04, "blind": 0.01,
    "is count": 0.01,
}  # fmt: skip


class LanguageStage(Stage):
    """The projector and the changes to a frozen language model before a frozen tower."""

    name = "language"
    net: Learner
    work: Learner
    average: Learner

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        model: LlavaForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        kept: Sequence[Said],
        begun: Path | None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.begun = begun
        super().__init__(config, folder, Learner(model))
        self._kind = next(self.work.parameters()).dtype
        self._float = model.model.vision_tower.eval().requires_grad_(False)
        self.model: LlavaForConditionalGeneration = model
        torch.nn.Module.to(self.model, self._kind)
        self.model.requires_grad_(False).eval()
        self._float.float()
        self.adapted = adapt(self.model, self.work)
        self._language = self.model.model.language_model
        self.packer = ChatPacker(tokenizer)
        self._weights = self.packer.token_weights
        art = TrainingArt(config.art, restyled=config.restyled)
        self._sprites = art
        self.scenes = Scenes(art, config.themes, DRAWING)
        self._plain = [one for one in kept if one.scene is None]
        self._open = [one for one in kept if one.scene is not None]

    def begin(self) -> None:
        """Go on from a file of adapters, or let the projector say words for what patches show."""
        if self.begun is not None:
            self.net.load(self.begun)
            return
        words = self._language.embed_tokens.weight[self.packer.class_tokens].float()
        rng = random.Random(f"words {self.config.seed}")
        scenes = self.scenes.batch(rng, 1500, 1.0)
        figures = fit_words(self.net.bridge, self._float, scenes, words)
        print(", ".join(f"{name} {value:.3f}" for name, value in figures.items()), flush=True)

    def losses(self, rng: random.Random, noise: np.random.Generator) -> dict[str, Tensor]:
        """Of conversations about pictures, and of plain ones."""
        scenes = self.scenes.batch(rng, self.config.batch, self.config.fresh)
        rows = []
        for at, scene in enumerate(scenes):
            talks = self._talks(scene, rng)
            if rng.random() < _OPEN and self._open:
                one = rng.choice(self._open)
                assert one.scene is not None
                scenes[at] = scene = open_scene(one.scene, self._sprites)
                talks = [Talk(turns=(Turn(one.question, one.answer),)), *self._talks(scene, rng)]
            rows.append(self.packer.row_of(talks))
        packed = slot_attention.in_slots(self.packer, rows, cropped=True)
        with torch.no_grad():
            seen = self.see(pixels(scenes, noise))
        features = self.work.bridge(seen.to(self._kind))
        with self._attention(slot_attention.NAME):
            logits, targets, _ = answer_logits(self.model, self.packer, features, packed)
        weight = self._weights[targets]
        each = F.cross_entropy(logits, targets, reduction="none")
        answers = (each * weight).sum() / weight.sum()
        keeping = self._keeping(rng)
        yes, no = (self.packer.encode(word)[0] for word in ("Yes", "No"))
        asked = (targets == yes) | (targets == no)
        says_yes = logits[asked][:, yes] > logits[asked][:, no]
        return {
            "loss": answers + _KEEPING * keeping,
            "answers": answers,
            "keeping": keeping,
            "yes/no": (says_yes == (targets[asked] == yes)).float().mean(),
        }

    def see(self, images: Tensor) -> Tensor:
        """What the tower sees of pictures, (batch, tokens, its width)."""
        seen: Tensor = self._float(pixel_values=images, output_hidden_states=True).hidden_states[-1]
        return seen

    def _talks(self, scene: Scene, rng: random.Random) -> list[Talk]:
        interview = Interview(scene, rng, self.config.themes)
        talks = interview.caption() if rng.random() < _CAPTION else []
        while len(talks) < _TALKS:
            talks += interview.one(rng.choices(list(_MIX), list(_MIX.values()))[0])
        return talks

    def _keeping(self, rng: random.Random) -> Tensor:
        """How far the changed model's next words are from the base's, in plain conversations."""
        chosen = [rng.choice(self._plain) for _ in range(_PLAIN)]
        chats = [self.packer.plain(one.question, one.answer)[0] for one in chosen]
        longest = min(max(map(len, chats)), _PLAIN_LONGEST)
        ids = torch.zeros(len(chats), longest, dtype=torch.long)
        real = torch.zeros(len(chats), longest, dtype=torch.bool)
        for row, tokens in enumerate(chats):
            tokens = tokens[:longest]
            ids[row, : len(tokens)] = torch.tensor(tokens)
            real[row, : len(tokens)] = True
        at = real.flatten().nonzero()[:, 0]
        at = at[torch.tensor(rng.sample(range(len(at)), min(_DISTILLED, len(at))))]
        with self._attention("sdpa"):
            with torch.no_grad(), self._base():
                wanted = self._next_words(ids, at)
            found = self._next_words(ids, at)
        return F.kl_div(found, wanted, log_target=True, reduction="batchmean")

    def _next_words(self, ids: Tensor, at: Tensor) -> Tensor:
        hidden = self._language(input_ids=ids, use_cache=False).last_hidden_state
        logits: Tensor = self.model.lm_head(hidden.flatten(0, 1)[at])
        return logits.float().log_softmax(-1)

    @contextmanager
    def _attention(self, name: str) -> Iterator[None]:
        self._language.set_attn_implementation(name)
        yield

    @contextmanager
    def _base(self) -> Iterator[None]:
        """Within the `with` the language model is as it was."""
        for one in self.adapted:
            one.on = False
        try:
            yield
        finally:
            for one in self.adapted:
                one.on = True

    def measure(self) -> dict[str, float]:
        """Shares of answers that are right to the letter, on watched scenes."""
        figures = marks(self._watched(), self.packer, self.config.art, self.config.themes, "")
        if self.config.watch:
            watched = self._watched()
            figures |= marks(watched, self.packer, self.config.watch, self.config.themes, "unseen ")
        return figures

    def _watched(self) -> "Watched":
        self._language.set_attn_implementation(slot_attention.NAME)
        return Watched(self)


class Watched(torch.nn.Module):
    """The model with the average of what was learnt, as `marks` asks it."""

    def __init__(self, stage: LanguageStage) -> None:
        super().__init__()
        with torch.no_grad():
            for kept, used in zip(stage.average.parameters(), stage.work.parameters(), strict=True):
                used.copy_(kept)
        self.llava, self.learner, self._see = stage.model, stage.work, stage.see

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the tower sees, and visual tokens of the decoder."""
        seen = self._see(images)
        kind = next(self.learner.parameters()).dtype
        return seen, self.learner.bridge(seen.to(kind))
