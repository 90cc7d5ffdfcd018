"""A blindfold hides the image from text, from a layer on, and nothing else."""

import pytest
import torch
from memvr_models import ALWAYS, batch, generate, going_on, prompt, shallow_llava

from memvr_integrations.errors import ArmingError, ConfigError, UnsupportedModelError
from memvr_integrations.memvr import blindfolded, covered, retracing
from memvr_integrations.memvr.arming.anatomy import find_anatomy


@pytest.fixture(scope="module")
def model():
    return shallow_llava()


def logits(model, inputs, **options):
    return generate(model, inputs, **options)[1]


def other_picture(inputs):
    return inputs | {"pixel_values": -inputs["pixel_values"]}


def test_under_a_blindfold_the_image_makes_no_difference(model):
    inputs = prompt([0], 5)
    seen = logits(model, inputs)
    assert not torch.allclose(seen[:, 0], logits(model, other_picture(inputs))[:, 0])
    with blindfolded(model, from_layer=0):
        blind = logits(model, inputs)
        assert torch.equal(blind, logits(model, other_picture(inputs)))
    assert not torch.allclose(blind[:, 0], seen[:, 0])
    assert torch.equal(logits(model, inputs), seen)  # left as it was found


def test_below_its_layer_text_sees(model):
    last = len(find_anatomy(model).layers) - 1
    inputs = prompt([0], 5)
    with blindfolded(model, from_layer=last):
        late = logits(model, inputs)
        assert not torch.allclose(late, logits(model, other_picture(inputs)))
    assert not torch.allclose(late, logits(model, inputs))


def test_retracing_brings_the_image_back(model):
    inputs = prompt([0], 5)
    with blindfolded(model, from_layer=0), retracing(model, ALWAYS):
        one, other = logits(model, inputs), logits(model, other_picture(inputs))
    assert not torch.allclose(one[:, 0], other[:, 0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_row_does_not_depend_on_its_batch(model, side):
    rows = [prompt([0], 5), prompt([1, 2], 12), prompt([], 9)]
    with blindfolded(model, from_layer=0):
        alone = [logits(model, row, tokens=1) for row in rows]
        if side == "left":
            together = logits(model, batch(rows), tokens=1)
        else:
            inputs = batch(rows, side)
            ends = inputs["attention_mask"].sum(1) - 1
            together = model(**inputs).logits[torch.arange(3), ends][:, None]
    for row, expected in enumerate(alone):
        assert torch.allclose(together[row], expected[0], atol=1e-4)


def test_without_images_nothing_changes(model):
    inputs = prompt([], 9)
    plain = logits(model, inputs)
    with blindfolded(model, from_layer=0):
        assert torch.equal(logits(model, inputs), plain)


def test_eager_and_sdpa_agree(model):
    found = []
    try:
        for attention in ("sdpa", "eager"):
            model.set_attn_implementation(attention)
            with blindfolded(model, from_layer=1):
                found.append(logits(model, prompt([0, 1], 7)))
    finally:
        model.set_attn_implementation("sdpa")
    assert torch.allclose(*found, atol=1e-4)


def test_masks_of_every_form_are_covered():
    images = torch.tensor([[False, True, True, False, False]])
    none = covered(None, images, 2, torch.float32)
    assert (none == 0).tolist() == [
        [[[True, False, False, True, False], [True, False, False, True, True]]]
    ]
    seen = torch.ones(1, 1, 2, 5, dtype=torch.bool)
    assert covered(seen, images, 2, torch.float32)[0, 0, 0].tolist() == [
        True,
        False,
        False,
        True,
        True,
    ]
    window = covered(seen[..., :3], images, 2, torch.float32)  # the two first keys are forgotten
    assert window[0, 0, 0].tolist() == [False, True, True]
    fixed = covered(torch.zeros(1, 1, 2, 7), images, 2, torch.float32)  # room for two more
    assert (fixed[0, 0, 0] == 0).tolist() == [True, False, False, True, True, True, True]
    itself = covered(None, images, 4, torch.float32)[0, 0]
    assert itself[1, 1] == 0  # an image position still sees the image
    with pytest.raises(UnsupportedModelError, match=r"shape \(1, 5\)"):
        covered(torch.ones(1, 5), images, 2, torch.float32)


def test_what_cannot_be_blindfolded_is_refused(model):
    with pytest.raises(ConfigError, match="from_layer=99"), blindfolded(model, from_layer=99):
        pass
    inputs = prompt([0], 5)
    first = model(**inputs, use_cache=True)
    after = {"input_ids": torch.tensor([[5]])} | going_on(first)
    with blindfolded(model, from_layer=0):
        with pytest.raises(ArmingError, match="whole prompt"):
            model(**after)
        with pytest.raises(ArmingError, match="input_ids"):
            model(inputs_embeds=model.get_input_embeddings()(inputs["input_ids"]))
        with pytest.raises(ArmingError, match="on its own"):
            find_anatomy(model).layers[0](torch.zeros(1, 1, 8))
    decoder = find_anatomy(model).decoder
    before = decoder.config._attn_implementation
    decoder.config._attn_implementation = "flex_attention"
    try:
        with pytest.raises(UnsupportedModelError, match="flex"), blindfolded(model, from_layer=0):
            pass
    finally:
        decoder.config._attn_implementation = before
