from types import SimpleNamespace

import pytest
import torch
from memvr_models import prompt, tiny_llava

from memvr_integrations.errors import ArmingError, MemVRWarning
from memvr_integrations.memvr import MemVRConfig, retracing
from memvr_integrations.memvr.arming.calls import Call
from memvr_integrations.memvr.arming.opening import bring_memory, image_blocks, repeats_in_batch

IMAGE = 9
IDS = torch.tensor([[1, IMAGE, IMAGE, 2], [1, 2, 3, IMAGE]])
FEATURES = torch.arange(6.0).view(3, 2) + 1


class Cache:
    def get_seq_length(self):
        return 3


def call(ids=IDS, cache=None):
    return Call.read({"input_ids": ids, "cache": cache})


@pytest.mark.parametrize(
    ("features", "sizes"),
    [
        (SimpleNamespace(pooler_output=[FEATURES[:2], FEATURES[2:]]), [2, 1]),
        (SimpleNamespace(pooler_output=(FEATURES,)), [3]),
        (SimpleNamespace(pooler_output=FEATURES), [3]),
        (FEATURES[None].expand(4, 3, 2), [3, 3, 3, 3]),
        (SimpleNamespace(pooler_output=None), []),
        (None, []),
    ],
)
def test_every_form_of_image_features(features, sizes):
    assert [len(block) for block in image_blocks(features)] == sizes


def test_rows_get_their_images():
    memory = bring_memory(call(), [FEATURES[:2], FEATURES[2:]], None, IMAGE)
    assert memory.images == ((2,), (1,))


def test_a_text_has_no_memory():
    assert bring_memory(call(), None, None, 77).images == ((), ())


def test_an_image_token_alone_warns():
    with pytest.warns(MemVRWarning, match="3 image tokens, but no image"):
        assert bring_memory(call(), None, None, IMAGE).images == ((), ())


def test_a_cached_prompt_needs_all_of_its_images():
    rest = call(IDS[:, 3:], Cache())
    with pytest.raises(ArmingError, match="cache of 3 positions"):
        bring_memory(rest, None, None, IMAGE)
    with pytest.raises(ArmingError, match="3 image tokens of this prompt lie in a cache and 1"):
        bring_memory(rest, [FEATURES[2:]], IDS, IMAGE)
    beams = call(IDS[:, 3:].repeat_interleave(2, 0), Cache())
    memory = bring_memory(beams, [FEATURES[:2]] * 2 + [FEATURES[2:]] * 2, IDS, IMAGE)
    assert memory.images == ((2,), (2,), (1,), (1,))


def test_repeats():
    assert repeats_in_batch(2, 6, "config") == 3
    with pytest.raises(ArmingError, match="5 rows, which is no multiple of the 2 rows of `config`"):
        repeats_in_batch(2, 5, "config")


def test_a_video_alone_warns():
    text = prompt([], 4)
    with (
        torch.no_grad(),
        retracing(tiny_llava(), MemVRConfig()),
        pytest.warns(MemVRWarning, match="a video alone"),
    ):
        tiny_llava()(input_ids=text["input_ids"], mm_encoder_outputs={"video": 1})
