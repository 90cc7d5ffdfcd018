import pytest
import torch

from memvr_integrations.errors import ArmingError
from memvr_integrations.memvr.arming.calls import Call, frame_of, prompt_mask
from memvr_integrations.memvr.frames import Frame

LEFT = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
RIGHT = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])


def call(mask=None, width=4, rows=2, **more):
    ids = torch.ones(rows, width, dtype=torch.long)
    return Call.read({"input_ids": ids, "attention_mask": mask} | more)


def square(mask, room=0):
    """The mask of a static cache with `room` free positions."""
    length = mask.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    full = causal[None] & mask.bool()[:, None]
    return torch.nn.functional.pad(full, (0, room))[:, None]


@pytest.mark.parametrize("padding", [LEFT, RIGHT])
def test_every_form_of_a_mask(padding):
    whole = square(padding, room=3)
    additive = torch.where(whole, 0.0, torch.finfo(torch.float32).min)
    longer = torch.nn.functional.pad(padding, (0, 3))
    for mask in (padding, longer, whole, additive, {"sliding": None, "full_attention": whole}):
        assert prompt_mask(mask, 0, 4).tolist() == padding.bool().tolist()


def test_no_mask_is_no_padding():
    assert prompt_mask(None, 0, 4) is None
    assert prompt_mask({"full_attention": None}, 0, 4) is None


def test_the_mask_of_a_prompts_end():
    assert prompt_mask(LEFT, 1, 3).tolist() == LEFT[:, 1:].bool().tolist()
    assert prompt_mask(LEFT[:, 2:], 2, 2).tolist() == LEFT[:, 2:].bool().tolist()


@pytest.mark.parametrize("mask", [torch.ones(2, 3), torch.ones(2, 4, 4), "flash"])
def test_a_mask_that_cannot_be_read(mask):
    with pytest.raises(ArmingError, match="Padding cannot be read"):
        prompt_mask(mask, 0, 4)


def test_a_prompt_decides_once_at_its_end():
    frame = frame_of(call(LEFT), None)
    assert (frame.prompt, frame.decisions, frame.last) == (4, 1, None)
    states = torch.arange(8.0).view(2, 4, 1)
    assert frame.deciding(states).flatten().tolist() == [3, 7]


def test_right_padding_moves_the_decision():
    frame = frame_of(call(RIGHT), None)
    assert frame.last.tolist() == [1, 3]
    states = torch.arange(8.0).view(2, 4, 1)
    assert frame.deciding(states).flatten().tolist() == [1, 7]


def test_a_row_of_padding_alone_is_no_right_padding():
    assert frame_of(call(LEFT * torch.tensor([[0], [1]])), None).last is None


def test_drafts_decide_after_the_prompt():
    frame = frame_of(call(rows=1), 2)
    assert (frame.prompt, frame.decisions) == (2, 3)
    assert frame.deciding(torch.arange(4.0).view(1, 4, 1)).flatten().tolist() == [1, 2, 3]
    assert Frame(width=3).decisions == 3


def test_what_a_frame_refuses():
    with pytest.raises(ArmingError, match="4 of 9 prompt positions"):
        frame_of(call(), 9)
    with pytest.raises(ArmingError, match="right padding"):
        frame_of(call(torch.tensor([[1, 0, 1, 1], [1, 1, 1, 1]])), 2)


def test_what_a_call_refuses():
    with pytest.raises(ArmingError, match="use_cache=False"):
        call(use_cache=False)
    with pytest.raises(ArmingError, match="without input_ids"):
        Call.read({})


def test_a_call_is_read():
    seen = call(mm_encoder_outputs={"image": "features", "video": None})
    assert (seen.rows, seen.width, seen.past, seen.features, seen.video) == (
        2,
        4,
        0,
        "features",
        False,
    )
    assert call(pixel_values_videos=torch.zeros(1)).video
