"""Processors of checkpoints in every layout that published ones have."""

import json
import shutil

import pytest
import torch
from families import FAMILIES
from PIL import Image as Pillow
from transformers import AutoConfig, LlamaConfig

from memvr_integrations.backend.hosting import processors
from memvr_integrations.backend.hosting.processors import load_processor
from memvr_integrations.errors import ModelLoadError, UnsupportedModelError

RED = Pillow.new("RGB", (60, 30), "red")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return FAMILIES["qwen2_5_vl"].save("qwen2_5_vl", tmp_path_factory.mktemp("qwen"))


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of a checkpoint's files without its weights, to be laid out anew."""
    shutil.copytree(
        saved, tmp_path, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True
    )
    return tmp_path


def read(folder):
    return load_processor(str(folder), None, AutoConfig.from_pretrained(folder))


def inputs(processor):
    content = [{"type": "image", "image": RED}, {"type": "text", "text": "What is it?"}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )


def change(folder, file, **fields):
    path = folder / file
    stored = json.loads(path.read_text()) if path.exists() else {}
    kept = {key: value for key, value in (stored | fields).items() if value is not None}
    path.write_text(json.dumps(kept))


def unnamed(folder):
    """No file says the class: the model's type does."""
    (folder / "processor_config.json").unlink()
    change(folder, "preprocessor_config.json", processor_class=None)


def named_in(file):
    def lay_out(folder):
        unnamed(folder)
        change(folder, file, processor_class="Qwen2_5_VLProcessor")

    return lay_out


def videos(folder):
    for file in ("preprocessor_config.json", "video_preprocessor_config.json"):
        change(folder, file, video_processor_type="Qwen2VLVideoProcessor", min_frames=4)


def slow_type(folder):
    change(
        folder,
        "preprocessor_config.json",
        image_processor_type="Qwen2VLImageProcessor",
        size=None,
        min_pixels=64,
        max_pixels=1024,
    )


def template_in_json(folder):
    template = folder / "chat_template.jinja"
    change(folder, "chat_template.json", chat_template=template.read_text())
    template.unlink()


def template_in_the_processors_file(folder):
    template = folder / "chat_template.jinja"
    change(folder, "processor_config.json", chat_template=template.read_text())
    template.unlink()


def all_in_one(folder):
    """As newer versions of transformers save."""
    images = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    video = {"video_processor_type": "Qwen2VLVideoProcessor", "merge_size": 2}
    change(folder, "processor_config.json", image_processor=images, video_processor=video)


def saved_by_itself(folder):
    processor = read(folder)
    for file in ("processor_config.json", "preprocessor_config.json", "chat_template.jinja"):
        (folder / file).unlink()
    processor.save_pretrained(folder)


LAYOUTS = {
    "unnamed": unnamed,
    "named with the image processor": named_in("preprocessor_config.json"),
    "named with the video processor": named_in("video_preprocessor_config.json"),
    "named with the tokenizer": named_in("tokenizer_config.json"),
    "videos": videos,
    "slow type": slow_type,
    "template in JSON": template_in_json,
    "template in the processor's file": template_in_the_processors_file,
    "all in one": all_in_one,
    "saved by itself": saved_by_itself,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same(saved, folder, layout):
    LAYOUTS[layout](folder)
    found, expected = inputs(read(folder)), inputs(read(saved))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.equal(found[name], values)


def test_a_processor_without_videos_is_of_its_class(saved):
    processor = read(saved)
    assert type(processor).__name__ == "Qwen2_5_VLProcessor"
    assert type(processor).get_attributes() == ["image_processor", "tokenizer"]
    assert type(processor.image_processor).__name__ == "Qwen2VLImageProcessorPil"
    assert "pixel_values" in processor.model_input_names


def test_a_processor_that_can_not_be_imported_says_why(saved, monkeypatch):
    class Without:
        __version__ = "5"

        def __getattr__(self, name):
            raise ModuleNotFoundError(name) from ModuleNotFoundError(
                "No module named 'torchvision'"
            )

    monkeypatch.setattr(processors, "transformers", Without())
    with pytest.raises(ModelLoadError, match=r"Qwen2_5_VLProcessor .*'torchvision'.*Upgrade"):
        read(saved)


def test_a_checkpoint_without_a_processor_is_refused(folder):
    unnamed(folder)
    (folder / "preprocessor_config.json").unlink()
    LlamaConfig().save_pretrained(folder)
    with pytest.raises(UnsupportedModelError, match="no processor, so images"):
        read(folder)


@pytest.fixture(scope="module")
def pixtral(tmp_path_factory):
    return read(FAMILIES["mistral3"].save("mistral3", tmp_path_factory.mktemp("mistral3")))


def test_pixtral_ends_every_row_of_patches(pixtral):
    ids = pixtral(images=[[RED]], text=["a[IMG]b"], return_tensors="pt")["input_ids"][0]
    row = "[IMG]" * 4
    assert pixtral.tokenizer.decode(ids) == f"a{row}[IMG_BREAK]{row}[IMG_END]b"


@pytest.mark.parametrize(
    ("images", "text"), [([[RED]], "a"), (None, "[IMG]"), ([[RED]], "[IMG]" * 2)]
)
def test_pixtral_counts_placeholders(pixtral, images, text):
    with pytest.raises(ValueError, match=r"\d \[IMG\] in the prompt for \d image"):
        pixtral(images=images, text=text)


def test_what_older_files_leave_out_comes_from_the_model(tmp_path):
    """LLaVA's first checkpoints have a preprocessor_config.json and nothing else."""
    llava = FAMILIES["llava"].save("llava", tmp_path)
    whole = inputs(read(llava))
    (llava / "processor_config.json").unlink()
    assert torch.equal(inputs(read(llava))["input_ids"], whole["input_ids"])
