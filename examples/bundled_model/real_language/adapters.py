"""What is trained: a projector, and low-rank changes to the language model's matrices.

A matrix W becomes W + 2 B A (LoRA, Hu et al. 2021, arXiv:2106.09685, alpha twice the rank).
"""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration

from bundled_model.training.model import VISION_WIDTH

RANK = 16
_SCALE = 2.0


class Factors(nn.Module):
    """The two factors of one matrix's change; at first it changes nothing."""

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, columns) / math.sqrt(columns))
        self.b = nn.Parameter(torch.zeros(rows, rank))

    def change(self) -> Tensor:
        """What is added to the matrix, (rows, columns)."""
        return _SCALE * self.b @ self.a


class Learner(nn.Module):
    """All that is trained, apart from the model that it belongs to."""

    def __init__(self, model: LlavaForConditionalGeneration, rank: int = RANK) -> None:
        super().__init__()
        width = model.config.get_text_config().hidden_size
        self.bridge = nn.Sequential(
            nn.Linear(VISION_WIDTH, width),
            nn.GELU(),
            nn.Linear(width, width),
        )
        self.factors = nn.ModuleDict(
            {
                name.replace(".", "/"): Factors(linear.out_features, linear.in_features, rank)
                for name, linear in _linears(model)
            }
        )

    def save(self, file: Path) -> None:
        """Write everything in half precision."""
        state = {name: value.half().contiguous() for name, value in self.state_dict().items()}
        half = file.with_suffix(".part")
        save_file(state, half)
        half.replace(file)

    def load(self, file: Path) -> None:
        """Read what `save` wrote."""
        self.load_state_dict({name: value.float() for name, value in load_file(file).items()})

    @torch.no_grad()
    def merge(self, model: LlavaForConditionalGeneration) -> None:
        """Put what was learnt into a model's own weights."""
        projector = model.model.multi_modal_projector
        projector.linear_1.load_state_dict(self.bridge[0].state_dict())
        projector.linear_2.load_state_dict(self.bridge[2].state_dict())
        for name, linear in _linears(model):
            factors = self.factors[name.replace(".", "/")]
            assert isinstance(factors, Factors)
            linear.weight += factors.change().to(linear.weight.dtype)


class Adapted(nn.Module):
    """A frozen matrix with its change beside it; `on` can be set to False, for the base alone."""

    def __init__(self, base: nn.Linear, factors: Factors) -> None:
        super().__init__()
        self.base, self.factors, self.on = base, factors, True

    def forward(self, x: Tensor) -> Tensor:
        """The matrix's product, changed."""
        plain: Tensor = self.base(x)
        if not self.on:
            return plain
        return plain + F.linear(F.linear(x, self.factors.a), self.factors.b * _SCALE)


def adapt(model: LlavaForConditionalGeneration, learner: Learner) -> list[Adapted]:
    """Put a learner's changes beside a model's matrices; what is trained then is the learner."""
    adapted = []
    for name, linear in _linears(model):
        factors = learner.factors[name.replace(".", "/")]
        assert isinstance(factors, Factors)
        one = Adapted(linear, factors)
        parent, _, own = name.rpartition(".")
        setattr(model.model.language_model.get_submodule(parent), own, one)
        adapted.append(one)
    return adapted


def _linears(model: LlavaForConditionalGeneration) -> list[tuple[str, nn.Linear]]:
    modules = model.model.language_model.named_modules()
    return [(name, one) for name, one in modules if isinstance(one, nn.Linear)]
