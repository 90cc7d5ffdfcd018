"""Language first, as real models are built: the decoder learns to talk before it ever sees.

`language` trains the decoder alone on whole conversations about scenes that nobody draws, so it
learns their language and their habits (fork beside knife) from text. `align` then trains the
projector alone, on captions, between a tower and a decoder that stay as they are. What follows is
the joint stage, as for a model that learnt everything at once.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.corpus import undrawn
from bundled_model.conversations.interview import Interview
from bundled_model.training.model import build_model, own_tokenizer
from bundled_model.training.packing import Packer
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.trainer import Stage, TrainConfig
from memvr_integrations.bundled.world import Scene

_MEASURED = 64


class Decoder(nn.Module):
    """The decoder alone, its embedding tied to its head."""

    def __init__(self, decoder: PreTrainedModel) -> None:
        super().__init__()
        self.decoder: PreTrainedModel = decoder

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the next token; (batch, text) to (batch, text, vocabulary)."""
        hidden = self.decoder(input_ids=ids, use_cache=False).last_hidden_state
        embedding = self.decoder.get_input_embeddings()
        assert isinstance(embedding, nn.Embedding)
        return F.linear(hidden, embedding.weight).float()


class LanguageStage(Stage):
    """Text alone, every word of it."""

    name = "language"
    net: Decoder
    work: Decoder
    average: Decoder

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        torch.manual_seed(config.seed)
        model = build_model(layers=config.layers, width=config.width, heads=config.heads)
        super().__init__(config, folder, Decoder(model.model.language_model))
        self.tokenizer = own_tokenizer(folder, first=self.rank == 0)
        self.packer = Packer(self.tokenizer)

    def losses(self, rng: random.Random, noise: np.random.Generator) -> dict[str, Tensor]:
        """The next word, questions and answers alike."""
        ids = self._conversations(rng, self.config.batch // self.world)
        return {"loss": next_word_loss(self.work, ids)}

    @torch.inference_mode()
    def measure(self) -> dict[str, float]:
        """How many words it wavers between, on conversations that are not trained on."""
        ids = self._conversations(random.Random("watched"), _MEASURED)
        return {"perplexity": float(next_word_loss(self.average, ids).exp())}

    def _conversations(self, rng: random.Random, size: int) -> Tensor:
        """Token ids (size, text) of conversations about one scene each; 0 after their ends."""
        rows = []
        for _ in range(size):
            scene = undrawn(rng, self.config.themes)
            talks = Interview(scene, rng, self.config.themes).talks(self.config.turns)
            turns = tuple(turn for talk in talks for turn in talk.turns if not turn.blind)
            rows.append(self.packer.row_of([Talk(turns=turns, pictures=0)]).ids)
        longest = max(map(len, rows))
        padded = [row + [0] * (longest - len(row)) for row in rows]
        return torch.tensor(padded, device=self.config.device)


class AlignStage(JointStage):
    """Captions, for the projector alone."""

    name = "align"

    def trains(self, name: str) -> bool:
        """The projector, and the heads that read what comes out of it."""
        return "projector" in name or name.startswith("readers.")

    def begin(self) -> None:
        """Start from the tower of the first stage and the decoder of the second."""
        super().begin()
        trained = torch.load(self.folder / "language.pt", map_location=self.config.device)
        found = {n.removeprefix("decoder."): v for n, v in trained["average"].items()}
        self.net.llava.model.language_model.load_state_dict(found)

    def losses(self, rng: random.Random, noise: np.random.Generator) -> dict[str, Tensor]:
        """As in the joint stage; nothing is asked that yes or no would answer."""
        found = super().losses(rng, noise)
        return {name: found[name] for name in ("loss", "answers", "patches")}

    def talks(self, scenes: Sequence[Scene], rng: random.Random) -> list[list[Talk]]:
        """Captions and lists."""
        rows = []
        for scene in scenes:
            interview = Interview(scene, rng, self.config.themes)
            rows.append([*interview.caption(), *interview.everything(), *interview.caption()])
        return rows


def next_word_loss(model: Decoder, ids: Tensor) -> Tensor:
    """Mean cross-entropy of every token but the first and the padding; `ids` (batch, text)."""
    targets = ids[:, 1:].masked_fill(ids[:, 1:] == 0, -100)
    return F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), targets.flatten())
