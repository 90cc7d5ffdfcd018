"""The model's shape, its tokenizer and its prompt: what the shipped weights depend on."""

import pytest
import torch
from bundled_model.training.model import (
    IMAGE_TOKENS,
    open_tokenizer,
)
from bundled_model.training.optimizer import MuonAdamW, orthogonalize
from transformers import AutoProcessor

from memvr_integrations.bundled import PRESET, WEIGHTS

SHIPPED_IDS = [332, 344, 492, 739, 484]


def test_the_shipped_tokenizer_is_kept():
    """The weights know these ids; the order of a few stands for all."""
    shipped = AutoProcessor.from_pretrained(WEIGHTS).tokenizer
    ids = shipped(" Yes No four red cow", add_special_tokens=False).input_ids
    assert ids == SHIPPED_IDS
    assert open_tokenizer().get_vocab() == shipped.get_vocab()


def test_the_prompt_is_the_one_of_training():
    """The chat template and the packing of training must not drift apart."""
    from bundled_model.conversations.asker import Talk
    from bundled_model.conversations.questions import Turn
    from bundled_model.training.packing import Packer

    processor = AutoProcessor.from_pretrained(WEIGHTS)
    content = [{"type": "image"}, {"type": "text", "text": "Is there a cow?"}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    asked = processor.tokenizer(text.replace("<image>", "<image>" * IMAGE_TOKENS),
                                add_special_tokens=False).input_ids  # fmt: skip
    packer = Packer()
    row = packer.row_of([Talk(turns=(Turn("Is there a cow?", "Yes"),))])
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    trained = [*packer.before_image, *[image] * IMAGE_TOKENS, *row.ids]
    assert trained[: len(asked)] == asked
    assert row.labels[-2:] == row.ids[-2:]


def test_the_preset_fits_the_model(loaded):
    assert PRESET.ending_layer <= loaded.model.config.get_text_config().num_hidden_layers


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_singular_values_come_near_one(kind):
    torch.manual_seed(0)
    for shape in ((32, 16), (16, 48)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape), kind))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_a_saved_state_goes_on_alike():
    def make():
        torch.manual_seed(1)
        return torch.nn.Parameter(torch.randn(6, 3)), torch.nn.Parameter(torch.randn(3))

    def steps(pair, optimizer, count):
        for _ in range(count):
            (pair[0].sin().sum() + pair[1].square().sum()).backward()
            optimizer.step(0.01)
            for value in pair:
                value.grad = None

    whole = make()
    steps(whole, MuonAdamW([whole[0]], [whole[1]]), 4)
    part = make()
    first = MuonAdamW([part[0]], [part[1]])
    steps(part, first, 2)
    second = MuonAdamW([part[0]], [part[1]])
    second.load_state_dict(first.state_dict())
    steps(part, second, 2)
    assert all(torch.allclose(one, other) for one, other in zip(whole, part, strict=True))
