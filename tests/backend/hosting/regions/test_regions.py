"""Marks in pictures of odd sizes change the visual tokens that have them, family by family.

The towers' attention is silenced (`keep_to_patches`): what is left is how each family's real
processor cuts pictures up, and how its model makes tokens of patches, in which order.
"""

import dataclasses
from random import Random

import numpy as np
import PIL.Image
import pytest
import torch
from families import CROPPED, FAMILIES, LLAVA_SETTINGS, TILES
from marked_pictures import changes, grey, keep_to_patches, marks, tokens_of
from published import write_glm, write_qwen

from memvr_integrations.backend.hosting.converting import convert_checkpoint
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import load_model
from memvr_integrations.backend.hosting.regions.regions import RegionFinder, regions_of
from memvr_integrations.backend.hosting.vision import FeatureCache

# The processors of GLM and PaliGemma hand tensors to NumPy in a way that it will forbid.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PORTS = {"qwen_vl_chat": write_qwen, "glm_4v_9b": write_glm}
ONE_PICTURE = {"glm_4v_9b"}  # a conversation


def changed(name, config, **more):
    family = FAMILIES[name]
    return dataclasses.replace(
        family, model_type=family.model_type or name, config=family.config | config, **more
    )


def with_rest(name, **more):
    """Sides of 30 pixels: two at the end of each are not read, as of 384 by patches of 14."""
    tower = FAMILIES[name].config["vision_config"] | {"image_size": 30}
    return changed(name, {"vision_config": tower, **more.pop("config", {})}, **more)


WIDER = [[30, 60], [60, 30], [60, 60], [30, 90], [90, 30]]
# What the published checkpoints of a family, or its processors' other settings, do besides.
VARIANTS = {
    "llava_padded": changed(
        "llava", {}, images="LlavaImageProcessor", reads=CROPPED | {"do_pad": True}
    ),
    "llava_class_token": changed(
        "llava",
        {"vision_feature_select_strategy": "full"},
        settings=LLAVA_SETTINGS | {"vision_feature_select_strategy": "full"},
    ),
    "llava_next_uneven": with_rest(
        "llava_next",
        config={"image_grid_pinpoints": WIDER},
        reads={
            "size": {"shortest_edge": 30},
            "crop_size": {"height": 30, "width": 30},
            "image_grid_pinpoints": WIDER,
        },
    ),
    "llava_onevision_shrunk": with_rest(
        "llava_onevision",
        config={"image_grid_pinpoints": WIDER, "vision_aspect_ratio": "anyres_max_2"},
        reads={"size": {"height": 30, "width": 30}, "image_grid_pinpoints": WIDER},
        settings=FAMILIES["llava_onevision"].settings | {"vision_aspect_ratio": "anyres_max_2"},
    ),
    "smolvlm_uneven": with_rest(
        "smolvlm",
        reads=TILES | {"size": {"longest_edge": 90}, "max_image_size": {"longest_edge": 30}},
    ),
}
EVERY = FAMILIES | VARIANTS
WHOLE = set(EVERY) - {"llava", "llava_class_token", "vipllava"}  # of which nothing is cropped off

# Round, odd, tall, wide, tiny, and larger than all tiles together.
SIZES = [(60, 60), (61, 37), (23, 200), (5, 7), (2, 9), (1, 1), (640, 480), (333, 1000), (200, 23)]
# The tiny tower has no positions for the grids of thinner pictures.
THINNEST = {"gemma4": 12}


def seeded(name, count):
    """Some sizes by chance, small and large, of shapes that every family takes."""
    random, found = Random(name), []
    while len(found) < count:
        size = tuple(round(2 ** random.uniform(0, 11)) for _ in range(2))
        found += [size] * taken(name, size)
    return found


def taken(name, size):
    """Whether a family takes a picture of this size."""
    return max(size) <= THINNEST.get(name, 30) * min(size)


@pytest.fixture(scope="module", params=[*EVERY, "glm_4v_9b"])
def name(request):
    if request.param == "gemma4":  # whose processor needed torchvision once
        pytest.importorskip("transformers.models.gemma4.processing_gemma4")
    return request.param


@pytest.fixture(scope="module")
def host(name, tmp_path_factory):
    made = loaded_host(name, tmp_path_factory.mktemp(name))
    keep_to_patches(made.model)
    yield made
    made.release()


def loaded_host(name, folder):
    if name in PORTS:
        PORTS[name](folder / "published")
        convert_checkpoint(str(folder / "published"), folder / "converted", progress=False)
        folder = folder / "converted"
    else:
        EVERY[name].save(name, folder)
    return Host(load_model(folder, LoadConfig(device="cpu", progress=False)), FeatureCache())


def regions_in(host, size, company):
    pictures = [grey(size), *company]
    features = host.vision.encode([pictures])[0]
    return regions_of(host, pictures[0], features[0], in_company=bool(company))


def check_marks(host, size, company, random):
    """The token that a mark moves most has it, and none far from it moves."""
    regions = regions_in(host, size, company)
    assert regions.patches
    assert regions.size == size
    painted = marks(size, random)
    found = [changes(host, regions, mark, company) for mark in painted]
    most = max(one.moved.max() for one in found)
    assert most > 0
    for mark, one in zip(painted, found, strict=True):
        nowhere, near = np.isnan(regions.boxes[:, 0]), (one.sides < 1) | (one.pixels < 3)
        best = np.where(nowhere, 0, one.moved).argmax()
        if shown_share(regions, mark) < 0.5:
            # It was cropped off, but for what resampling blurs over the edge: three pixels.
            assert one.moved.max() < 0.03 * most or near[best], (size, mark)
            continue
        # A token of a shrunk grid is blended from its neighbours.
        assert one.pixels[best] < 1 or one.sides[best] < 0.5, (size, mark)
        assert not (~near & ~nowhere & (one.moved > 0.15 * one.moved.max())).any(), (size, mark)
        if min(size) >= 64:  # a smaller one is blurred into its padding
            assert one.moved[nowhere].max(initial=0) < 0.5 * one.moved[best], (size, mark)


def shown_share(regions, mark):
    """How much of a mark some tokens show."""
    places = [np.linspace(*ends, 9)[1:-1] for ends in (mark[::2], mark[1::2])]
    x, y = np.meshgrid(*places)
    return covered(regions.boxes, np.stack([x.ravel(), y.ravel()], 1)).mean()


def covered(boxes, points):
    """Which of some (x, y) lie in a box at least."""
    shown = boxes[~np.isnan(boxes[:, 0])].astype(np.float64)
    x, y = points[:, :1], points[:, 1:]
    inside = (x >= shown[:, 0]) & (x <= shown[:, 2]) & (y >= shown[:, 1]) & (y <= shown[:, 3])
    return inside.any(1)


def test_marks_move_the_tokens_that_show_them(host, name):
    random = Random(0)
    for number, size in enumerate([*SIZES, *seeded(name, 4)]):
        if not taken(name, size):
            continue
        company = [grey((50, 40))] * (number % 3 == 1 and name not in ONE_PICTURE)
        check_marks(host, size, company, random)


@pytest.mark.soak
def test_marks_in_fifty_sizes(host, name):
    random = Random(1)
    for size in seeded(name, 50):
        for company in [[], *([] if name in ONE_PICTURE else [[grey((50, 40))]])]:
            check_marks(host, size, company, random)


def test_boxes_lie_within_and_cover_what_is_shown(host, name):
    for size in (*SIZES, (700, 31)):
        if not taken(name, size):
            continue
        boxes = regions_in(host, size, []).boxes
        shown = boxes[~np.isnan(boxes).any(1)]
        assert np.isnan(boxes[np.isnan(boxes).any(1)]).all()
        assert (shown >= 0).all()
        assert (shown <= [*size, *size]).all()
        assert (shown[:, :2] < shown[:, 2:]).all()
        x, y = np.meshgrid(*((np.arange(20) + 0.5) / 20 * side for side in size))
        seen = covered(shown, np.stack([x.ravel(), y.ravel()], 1))
        if name in WHOLE:
            assert seen.mean() > (0.85 if "uneven" in name or "shrunk" in name else 0.99), size
        elif size[0] == size[1]:
            assert seen.all()


def test_several_pictures_each_have_theirs_in_order(host, name):
    pictures = [grey((60, 60)), grey((200, 23)), grey((23, 200)), grey((60, 60))]
    if name in ONE_PICTURE:
        pictures = pictures[1:2]
    features = host.vision.encode([pictures])[0]
    found = [
        regions_of(host, picture, one, in_company=len(pictures) > 1)
        for picture, one in zip(pictures, features, strict=True)
    ]
    assert [len(one.boxes) for one in found] == [one.count for one in features]
    assert [one.size for one in found] == [picture.image.size for picture in pictures]
    assert sum(len(tokens) for tokens in tokens_of(host, pictures)) == sum(
        len(one.boxes) for one in found
    )


def test_a_resampler_has_no_places(tmp_path):
    host = loaded_host("qwen_vl_chat", tmp_path)
    regions = regions_in(host, (60, 40), [])
    host.release()
    assert not regions.patches
    assert regions.boxes.shape == (16, 4)
    assert np.isnan(regions.boxes).all()


@dataclasses.dataclass(frozen=True)
class Tower:
    patch_size: int = 7
    model_type: str = "tower"


@dataclasses.dataclass(frozen=True)
class Settings:
    vision_config: Tower = Tower()
    model_type: str = "of_tomorrow"


def finder(prepare):
    return RegionFinder(Settings(), prepare, company_counts=False)


def squeezed(pictures):
    """28 x 28 pixels, from 0 to 1."""
    pixels = np.stack(
        [np.asarray(one.resize((28, 28), PIL.Image.Resampling.BILINEAR)) for one in pictures]
    )
    return {"pixel_values": torch.from_numpy(pixels / 255).permute(0, 3, 1, 2)}


def test_an_unknown_model_is_placed_where_every_patch_is_a_token():
    regions = finder(squeezed).of((56, 112), 16, in_company=False)
    assert regions.patches
    assert regions.boxes[0].tolist() == [0, 0, 14, 28]
    assert regions.boxes[-1].tolist() == [42, 84, 56, 112]


def test_settings_without_patches_prove_nothing():
    settings = Settings(vision_config=Tower(patch_size=None))
    own = RegionFinder(settings, squeezed, company_counts=False)
    assert not own.of((56, 56), 16, in_company=False).patches


@pytest.mark.parametrize("count", [4, 9, 15, 17, 64])
def test_other_counts_of_an_unknown_model_prove_nothing(count):
    regions = finder(squeezed).of((56, 56), count, in_company=False)
    assert not regions.patches
    assert regions.boxes.shape == (count, 4)


def flat(pictures):
    return {"pixel_values": squeezed(pictures)["pixel_values"].reshape(1, 16, -1)}


def tiled(pictures):
    return {"pixel_values": squeezed(pictures)["pixel_values"].repeat(2, 1, 1, 1)}


def turned(pictures):
    return {"pixel_values": squeezed(pictures)["pixel_values"].mT}


def mirrored(pictures):
    return {"pixel_values": squeezed(pictures)["pixel_values"].flip(-1)}


def blank(pictures):
    return {"pixel_values": torch.zeros(1, 3, 28, 28)}


@pytest.mark.parametrize("prepare", [flat, tiled, turned, mirrored, blank, lambda pictures: {}])
def test_what_an_unknown_processor_does_besides_is_not_guessed(prepare):
    assert not finder(prepare).of((56, 56), 16, in_company=False).patches


def test_a_size_is_asked_about_once():
    asked = []

    def prepare(pictures):
        asked.append(len(pictures))
        return squeezed(pictures)

    own = RegionFinder(Settings(), prepare, company_counts=True)
    first = own.of((56, 56), 16, in_company=False)
    assert own.of((56, 56), 16, in_company=False) is first
    assert asked == [1, 1, 1]
    own.of((56, 56), 16, in_company=True)
    own.of((56, 57), 16, in_company=False)
    assert asked == [1, 1, 1, 2, 2, 2, 1, 1, 1]
