"""Pictures are encoded once, and the cache knows its limits."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.backend.hosting.vision import FeatureCache, Features, VisionEncoder
from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr import MemVRConfig


def features(numbers):
    return Features([torch.zeros(numbers)], [], stacked=False)


def test_the_size_counts_every_tensor():
    assert (
        Features([torch.zeros(3), torch.zeros(2)], [[torch.zeros(5)]], stacked=False).nbytes == 40
    )


def test_the_least_recently_used_leave_first():
    cache = FeatureCache(limit=120)
    for key in "abc":
        cache.put(key, features(10))
    assert cache.get("a") is not None
    cache.put("d", features(10))
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]
    assert cache.size == 120
    cache.put("e", features(25))
    assert [key for key in "abcde" if cache.get(key)] == ["e"]
    assert cache.size == 100


def test_what_is_larger_than_the_cache_is_not_kept_and_evicts_nothing():
    cache = FeatureCache(limit=100)
    cache.put("a", features(10))
    cache.put("b", features(26))
    assert cache.get("b") is None
    assert cache.get("a") is not None


def test_putting_twice_counts_once():
    cache = FeatureCache(limit=100)
    cache.put("a", features(10))
    cache.put("a", features(10))
    assert cache.size == 40


def test_a_picture_is_encoded_once_across_requests(make_backend, ask):
    backend = make_backend()
    backend.generate([ask("One?", 0, 1, max_tokens=1), ask("Two?", 1, 0, 1, max_tokens=1)])
    backend.generate(ask("Three?", 1, max_tokens=1))
    assert backend.images_encoded == 2
    backend.generate(ask("Four?", 2, max_tokens=1))
    assert backend.images_encoded == 3


def test_answers_do_not_depend_on_the_cache(make_backend, ask):
    requests = [
        ask("Describe.", n, max_tokens=6, memvr=MemVRConfig.preset("llava").for_depth(12))
        for n in (0, 1, 0)
    ]
    kept, not_kept = make_backend(), make_backend(cache_bytes=0)
    expected = [kept.generate(request)[0] for request in requests]
    assert [not_kept.generate(request)[0] for request in requests] == expected
    assert (kept.images_encoded, not_kept.images_encoded) == (2, 3)


def test_the_cache_is_bounded_in_bytes(make_backend, ask, loaded):
    one = 64 * loaded.model.config.text_config.hidden_size * 4
    backend = make_backend(cache_bytes=2 * one)
    for number in (0, 1, 2, 1, 0):
        backend.generate(ask("What?", number, max_tokens=1))
    assert backend.images_encoded == 4
    assert backend._host.vision._cache.size == 2 * one


@pytest.mark.parametrize("memvr", [None, True])
def test_both_pictures_of_a_prompt_count_and_so_does_their_order(backend, ask, memvr):
    def chances(*numbers):
        [answer] = backend.generate(ask("Describe.", *numbers, memvr=memvr, max_tokens=1))
        return answer.tokens[0].logprob

    values = [chances(0, 1), chances(0, 2), chances(2, 1), chances(1, 0), chances(0)]
    assert len(set(values)) == 5
    assert chances(0, 1) == pytest.approx(values[0], abs=1e-6)


def test_equal_pixels_are_one_picture_however_they_come(make_backend, scenes):
    import io

    from PIL import Image as Pillow

    from memvr_integrations.backend import Request, SamplingParams

    backend, buffer = make_backend(), io.BytesIO()
    pixels = scenes[0].pixels
    Pillow.fromarray(pixels).save(buffer, "PNG")
    for source in (pixels, Pillow.fromarray(pixels), buffer.getvalue(), np.array(pixels / 255.0)):
        backend.generate(Request.ask("?", source, sampling=SamplingParams(max_tokens=1)))
    assert backend.images_encoded == 1


def test_a_picture_that_comes_twice_is_encoded_once_even_without_a_cache(make_backend, ask):
    backend = make_backend(cache_bytes=0)
    backend.generate(ask("Who?", 0, 1, 0, max_tokens=1, n=2))
    assert backend.images_encoded == 2


@pytest.mark.parametrize(
    "encoded",
    [
        {},
        {"pooler_output": "words"},
        {"pooler_output": [torch.ones(1, 2)], "deepstack_features": [(0, [])]},
    ],
)
def test_visual_tokens_of_an_unknown_form_are_refused(encoded):
    base = SimpleNamespace(get_image_features=lambda **_: SimpleNamespace(**encoded))
    model = SimpleNamespace(
        base_model=base,
        config=SimpleNamespace(model_type="llava"),
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    encoder = VisionEncoder(model, lambda pictures: {}, FeatureCache())
    with pytest.raises(UnsupportedModelError, match="in a form that is not known"):
        encoder.encode([[Picture(image=None, hash="a")]])
