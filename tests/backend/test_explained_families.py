"""Every family explained: the answer's own scores, and places of the original pictures."""

import dataclasses
from random import Random

import numpy as np
import pytest
import torch
from families import FAMILIES
from PIL import Image as Pillow
from tiny_family import LAYERS

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.backend.hosting.regions.regions import regions_of
from memvr_integrations.explain import ExplainConfig
from memvr_integrations.memvr import MemVRConfig

EAGER = MemVRConfig(
    starting_layer=0, ending_layer=LAYERS - 1, entropy_threshold=0.5, retracing_ratio=0.5
)
SIZES = [(96, 40), (29, 180), (333, 217)]
# The processors of GLM and PaliGemma hand tensors to NumPy in a way that it will forbid.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=FAMILIES)
def backend(request, tmp_path_factory):
    if request.param == "gemma4":  # whose processor needed torchvision once
        pytest.importorskip("transformers.models.gemma4.processing_gemma4")
    folder = FAMILIES[request.param].save(request.param, tmp_path_factory.mktemp(request.param))
    with Backend.load(folder, device="cpu", progress=False) as loaded:
        yield loaded


def shown(backend, pixels, tag, others=()):
    """The visual tokens of a picture, (tokens, dim), and where they lie; perhaps beside others."""
    host = backend._host
    picture = Picture(image=Pillow.fromarray(pixels), hash=f"{pixels.shape} {tag}")
    beside = [Picture(image=Pillow.fromarray(one), hash=f"other {one.shape}") for one in others]
    [[features, *_]] = host.vision.encode([[picture, *beside]])
    tokens = torch.cat([one.reshape(-1, one.shape[-1]) for one in features.tokens])
    return tokens, regions_of(host, picture, features, in_company=bool(beside))


def marks(regions, count, rng):
    """Places for marks of about a token's size, in what the model sees of the picture."""
    left, top = np.nanmin(regions.boxes[:, :2], 0)
    right, bottom = np.nanmax(regions.boxes[:, 2:], 0)
    wide, high = np.nanmedian(regions.boxes[:, 2:] - regions.boxes[:, :2], 0).round()
    wide, high = max(int(wide), 2), max(int(high), 2)
    corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    for across, down in [*corners, *((rng.random(), rng.random()) for _ in range(count))]:
        x = round(left + across * max(right - left - wide, 0))
        y = round(top + down * max(bottom - top - high, 0))
        yield x, y, x + wide, y + high


def check_places(backend, size, count=0):
    width, height = size
    plain = np.full((height, width, 3), 100, np.uint8)
    before, regions = shown(backend, plain, "plain")
    assert regions.patches
    assert len(regions.boxes) == len(before)
    places = regions.boxes[~np.isnan(regions.boxes[:, 0])]
    assert (places[:, :2] >= 0).all()
    assert (places[:, 2:] <= [width, height]).all()
    for x, y, right, bottom in marks(regions, count, Random(0)):
        marked = plain.copy()
        marked[y:bottom, x:right] = (255, 20, 20)
        after, _ = shown(backend, marked, f"{x} {y}")
        changed = int((after - before).norm(dim=1).argmax())
        box = regions.boxes[changed]
        inside = box[0] < right and box[2] > x and box[1] < bottom and box[3] > y
        assert inside, (size, (x, y, right, bottom), box)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_mark_lands_where_it_was_painted(backend, size):
    check_places(backend, size)


@pytest.mark.soak
def test_a_mark_lands_where_it_was_painted_on_fifty_sizes(backend):
    rng = Random(1)
    for _ in range(50):
        check_places(backend, (rng.randint(9, 400), rng.randint(9, 400)), 6)


def test_in_company_a_picture_keeps_its_places(backend):
    pixels = np.full((40, 96, 3), 100, np.uint8)
    other = np.full((56, 56, 3), 30, np.uint8)
    before, regions = shown(backend, pixels, "company", [other])
    assert len(regions.boxes) == len(before)
    assert regions.patches
    marked = pixels.copy()
    x, y, right, bottom = next(marks(regions, 1, Random(0)))
    marked[y:bottom, x:right] = (255, 20, 20)
    after, _ = shown(backend, marked, "company, marked", [other])
    box = regions.boxes[int((after - before).norm(dim=1).argmax())]
    assert box[0] < right
    assert box[2] > x
    assert box[1] < bottom
    assert box[3] > y


@pytest.mark.parametrize(("activation", "scope"), [(None, "all"), ("silu", "last")])
def test_the_answer_is_explained_as_it_was_given(backend, activation, scope):
    noise = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    config = dataclasses.replace(EAGER, activation=activation, scope=scope)
    request = Request.ask(
        "What is it?",
        Pillow.fromarray(noise),
        sampling=SamplingParams(max_tokens=4, min_tokens=4),
        memvr=config,
    )
    [done] = backend.generate(request)
    assert any(token.trigger_layer is not None for token in done.tokens[1:])
    for method in ("attention_gradient", "retracing"):
        explanation = backend.explain(
            request,
            done,
            config=ExplainConfig(method=method, second=False, tokens=(0, 1, 2, 3), compare=False),
        )
        for token, given in zip(explanation.tokens, done.tokens, strict=True):
            if given.text.strip().lower() not in ("yes", "no"):  # whose score is a lead
                assert token.score["on"] == pytest.approx(given.logprob, abs=1e-4)
        assert any(token.maps["on"][0].any() for token in explanation.tokens)
