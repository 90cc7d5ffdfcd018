import pytest
import torch

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr import VisualMemory


def image(tokens, value):
    return torch.full((tokens, 2), float(value))


@pytest.fixture
def memory():
    return VisualMemory.from_rows([[image(1, 1), image(2, 2)], [], [image(2, -3)]])


def test_rows_are_ragged_and_know_their_images(memory):
    assert memory.images == ((1, 2), (), (2,))
    assert memory.features[..., 0].tolist() == [[1, 2, 2], [0, 0, 0], [-3, -3, 0]]
    assert memory.tokens.tolist() == [3, 0, 2]
    assert memory.mean_abs.tolist() == pytest.approx([5 / 3, 0, 3])
    assert memory.usable.tolist() == [True, False, True]
    assert len(memory) == 3


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_features_of_no_use(value):
    assert VisualMemory.from_rows([[image(2, value)]]).usable.tolist() == [False]


def test_images_are_dealt_out_by_image_tokens(memory):
    dealt = VisualMemory.from_placeholders([image(1, 1), image(2, 2), image(2, -3)], [3, 0, 2])
    assert dealt.images == memory.images
    assert torch.equal(dealt.features, memory.features)


def test_one_flat_tensor_of_all_images_is_cut_at_the_rows(memory):
    flat = torch.cat([image(1, 1), image(2, 2), image(2, -3)])
    dealt = VisualMemory.from_placeholders([flat], [3, 0, 2])
    assert dealt.images == ((3,), (), (2,))
    assert torch.equal(dealt.features, memory.features)


@pytest.mark.parametrize("counts", [[3], [5], [2, 3]])
def test_a_count_that_does_not_fit(counts):
    with pytest.raises(ConfigError, match=f"4 visual tokens, the prompts {sum(counts)} image"):
        VisualMemory.from_placeholders([image(2, 1), image(2, 1)], counts)


def test_images_of_several_widths():
    with pytest.raises(ConfigError, match=r"\[2, 3\]"):
        VisualMemory.from_rows([[image(1, 1), torch.ones(1, 3)]])
    with pytest.raises(ConfigError, match="at least one image"):
        VisualMemory.from_rows([[], []])


def test_rows_repeat_as_beams_do(memory):
    beams = memory.repeat(2)
    assert beams.images == ((1, 2), (1, 2), (), (), (2,), (2,))
    assert torch.equal(beams.features, memory.features.repeat_interleave(2, 0))


def test_rows_can_be_chosen_anew(memory):
    rolled = memory.select([2, 0, 1])
    assert rolled.images == ((2,), (1, 2), ())
    assert torch.equal(rolled.features, memory.features.roll(1, 0))


def test_a_memory_moves(memory):
    assert memory.to(torch.device("cpu"), torch.float16).features.dtype == torch.float16


def test_an_empty_memory():
    assert VisualMemory.empty(2, torch.device("cpu")).usable.tolist() == [False, False]
