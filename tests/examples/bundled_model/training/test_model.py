import pytest
from bundled_model.training.model import (
    IMAGE_TOKENS,
    VOCABULARY,
    build_model,
    build_tokenizer,
    open_tokenizer,
    save,
)
from transformers import AutoProcessor

from memvr_integrations.bundled import PRESET, WEIGHTS
from memvr_integrations.bundled.world.words import CLASSES

SHIPPED_IDS = [332, 344, 492, 739, 484]


@pytest.fixture(scope="module", params=["shipped", "built"])
def tokenizer(request):
    return open_tokenizer() if request.param == "shipped" else build_tokenizer()


def test_every_class_is_one_token(tokenizer):
    ids = [tokenizer(" " + name, add_special_tokens=False).input_ids for name in CLASSES]
    assert all(len(one) == 1 for one in ids)


def test_any_text_comes_back(tokenizer):
    text = "Żółw, 猫 & 🐈 <b>?"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_the_tokenizer_fits_the_embedding(tokenizer):
    assert len(tokenizer) <= VOCABULARY


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


def test_weights_are_small_enough_to_ship():
    size = sum(file.stat().st_size for file in WEIGHTS.iterdir())
    assert size < 25e6


def test_the_preset_fits_the_model(loaded):
    assert PRESET.ending_layer <= loaded.model.config.get_text_config().num_hidden_layers


def test_a_saved_model_opens_as_llava(tmp_path):
    from memvr_integrations.backend import Backend, Request, SamplingParams

    save(build_model(layers=4, width=32, heads=2), tmp_path)
    with Backend.load(tmp_path, device="cpu", progress=False) as backend:
        request = Request.ask("Hi", sampling=SamplingParams(max_tokens=2))
        assert len(backend.generate(request)[0].tokens) <= 2
        assert not backend.calibrated
