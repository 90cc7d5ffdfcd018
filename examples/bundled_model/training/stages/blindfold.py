"""Training for the blindfold: what a model learns to see by retracing alone.

In most rows text may not attend to the picture in any layer, so the only way to it is
retracing in one layer's FFN. Nothing here changes what retracing computes; the model is merely
given a reason to use it, which a model that sees by attention never has.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from bundled_model.conversations.asker import Talk
from bundled_model.conversations.interview import Interview
from bundled_model.training import slot_attention
from bundled_model.training.marking import marks
from bundled_model.training.packing import Packer
from bundled_model.training.stages.joint import JointStage
from bundled_model.training.stages.vision import clear_pixels
from bundled_model.training.talker import answer_logits
from memvr_integrations.bundled.world import Scene
from memvr_integrations.memvr import MemVRConfig, retrace

LAYER = 5
BLINDFOLDED = MemVRConfig(
    starting_layer=LAYER - 2, ending_layer=LAYER, entropy_threshold=0.0, retracing_ratio=0.4
)
"""How a model trained here retraces: always, in the layer that it was trained with."""

_RATIOS = (0.2, 0.6)
_BLIND = 0.75
_RETRACING = 0.5  # of the rows that see
# What is there is what is measured and has to be found first; the rest is not to be forgotten.
_IS_IT_THERE = 0.7
# A layer's FFN adds little to what is there; at its own loudness nothing that is retraced is heard.
_LOUDER = 8.0
_CENTERED_ON = 64  # scenes


class BlindfoldStage(JointStage):
    """Questions about one picture, mostly what is there, mostly blindfolded and retracing."""

    name = "blindfold"

    def begin(self) -> None:
        """Start from a finished model, or from the joint stage."""
        trained = self.folder / "joint.pt"
        if self.config.init is None and trained.exists():
            state = torch.load(trained, map_location=self.config.device)
            self.check_state(state)
            self.net.load_state_dict(state["average"])
        else:
            super().begin()
        with torch.no_grad():
            _ffn(self.net.llava)[1].weight.mul_(_LOUDER)
            self._center()

    def talks(self, scenes: Sequence[Scene], rng: random.Random) -> list[list[Talk]]:
        """Conversations about each scene's own picture."""
        rows = []
        for scene in scenes:
            interview = Interview(scene, rng, self.config.themes)
            talks = interview.talks(max(1, round(self.config.turns * (1 - _IS_IT_THERE))))
            while len(talks) < self.config.turns:
                talks.append(rng.choice(interview.exists()))
            rows.append([talk for talk in talks if talk.pictures == 1])
        return rows

    def answer(
        self, features: Tensor, packed: slot_attention.Slots, rng: random.Random
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`answer_logits` with blindfolds and retracing.

        Rows that see retrace in half of the cases as well, so that retracing does no harm.
        """
        blind = [rng.random() < _BLIND for _ in packed.ids]
        ratios = [
            rng.uniform(*_RATIOS) if hidden or rng.random() < _RETRACING else 0.0
            for hidden in blind
        ]
        hidden, shares = torch.tensor(blind), torch.tensor(ratios)
        return _answered(self.work.llava, self.packer, features, packed, hidden, shares)

    def _center(self) -> None:
        """Take what all visual tokens share out of the projector.

        It says nothing of a picture, is longer than what does, and would make up most of what is
        retraced, which is a sum over the tokens.
        """
        scenes = self.scenes.batch(random.Random("center"), _CENTERED_ON, 1.0)
        _, features = self.net.see(clear_pixels(scenes).to(self.config.device))
        bias = self.net.llava.model.multi_modal_projector.linear_2.bias
        bias -= features.mean((0, 1))

    def measure(self) -> dict[str, float]:
        """What it gets right seeing, and what by retracing alone."""

        def blindly(
            model: LlavaForConditionalGeneration,
            packer: Packer,
            features: Tensor,
            packed: slot_attention.Slots,
        ) -> tuple[Tensor, Tensor, Tensor]:
            hidden = torch.ones(len(packed.ids), dtype=torch.bool)
            shares = hidden * BLINDFOLDED.retracing_ratio
            return _answered(model, packer, features, packed, hidden, shares)

        config = self.config
        blind = marks(self.average, self.packer, config.art, config.themes, "blind ", blindly)
        return super().measure() | blind


def _answered(
    model: LlavaForConditionalGeneration,
    packer: Packer,
    features: Tensor,
    packed: slot_attention.Slots,
    blind: Tensor,
    ratios: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    packed = covered(packed, blind, first=len(packer.before_image))
    with retraced(model, features, ratios, passes(packed)):
        return answer_logits(model, packer, features, packed)


def covered(packed: slot_attention.Slots, blind: Tensor, *, first: int) -> slot_attention.Slots:
    """The same rows, some of them blindfolded: their text doesn't attend to the picture.

    Shapes: `blind` (batch,) bool. The picture begins at position `first` of the shared prefix.
    """
    mask = packed.mask.clone()
    prefix = mask.shape[-1] - mask.shape[-2]
    mask[blind, :, :, first:prefix] = torch.finfo(mask.dtype).min
    return replace(packed, mask=mask)


def passes(packed: slot_attention.Slots) -> Tensor:
    """Numbers of the forward passes in which each text position is computed when it is asked.

    A question is read in one, each token of an answer in one of its own. Shapes: (batch, text),
    above 0; below 0 for an answer's, 0 for padding.
    """
    answers = packed.labels >= 0
    begins = answers | (packed.segments != packed.segments.roll(1, 1)) | answers.roll(1, 1)
    begins[:, 0] = True
    numbers = begins.cumsum(1)
    numbers[answers] *= -1
    return numbers.masked_fill(packed.segments == slot_attention.PADDING, 0)


@contextmanager
def retraced(model: nn.Module, features: Tensor, ratios: Tensor, passes: Tensor) -> Iterator[None]:
    """Within the `with`, the decoder retraces at every position, with gradients.

    Shapes: `features` (rows, tokens, dim), `ratios` (rows,), `passes` (rows, text), their numbers.
    """

    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        given = ratios.to(output.device)
        everywhere = torch.ones_like(given)
        evidence = retrace(args[0], output, features, everywhere, gain=everywhere)
        scale = _loudness(output, evidence, passes.to(output.device))
        return torch.lerp(output, evidence * scale, given.to(output.dtype)[:, None, None])

    handle = _ffn(model)[0].register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _loudness(plain: Tensor, evidence: Tensor, passes: Tensor) -> Tensor:
    """What makes evidence as loud as the FFN over each pass, as `retrace` does over a whole row.

    In a packed row hundreds of words would outweigh the picture, which is most of a real prompt: a
    question's pass has the prefix in it. Shapes: (rows, positions, 1), 0 for padding.
    """
    prefix = plain.shape[1] - passes.shape[1]
    both = torch.stack([plain, evidence]).float().abs().mean(-1)
    shared, text = both[..., :prefix].sum(-1, keepdim=True), both[..., prefix:]
    places = passes.abs().expand_as(text)
    sums = torch.zeros_like(text[..., :1]).expand(-1, -1, int(places.max()) + 1)
    sums = sums.scatter_add(-1, places, text).gather(-1, places)
    sums = sums + shared * (passes > 0)
    scale = (sums[0] / sums[1].clamp_min(torch.finfo(sums.dtype).tiny)) * (passes != 0)
    before = (shared[0] / shared[1]).expand(-1, prefix)
    return torch.cat([before, scale], 1)[..., None].to(plain.dtype)


def _ffn(model: nn.Module) -> tuple[nn.Module, nn.Linear]:
    """The FFN that retraces, and its last matrix."""
    ffn = model.get_submodule(f"model.language_model.layers.{LAYER}.mlp")
    last = ffn.get_submodule("down_proj")
    assert isinstance(last, nn.Linear)
    return ffn, last
