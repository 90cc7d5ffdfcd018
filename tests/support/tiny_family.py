"""How a family's tiny, random checkpoint is made, with the files that a published one has."""

import copy
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from bundled_model.training.model import build_tokenizer
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

LAYERS = 4
SIDE = 28  # of the square that towers with a fixed input read: 4 x 4 patches of 7 pixels
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1024,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family's tiny checkpoint is made, and what is known about it.

    `ids` are fields of the configuration, by the name of the token that each is the id of. `square`
    and `wide` are the visual tokens of the two pictures of the tests, `both` those of the two in
    one prompt.
    """

    config: dict[str, object]
    ids: dict[str, str]
    tokens: dict[str, str]
    images: str
    reads: dict[str, object]
    processor: str
    template: str | None
    square: int
    wide: int
    model_type: str = ""
    more_tokens: list[str] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    both: int = 0
    text_alone: bool = True

    def save(self, name: str, folder: Path) -> Path:
        """Write the checkpoint."""
        tokenizer = make_tokenizer(self.tokens, self.more_tokens)
        named = {
            key: tokenizer.convert_tokens_to_ids(self.tokens[token])
            for key, token in self.ids.items()
        }
        config = copy.deepcopy(self.config)
        config["text_config"]["vocab_size"] = len(tokenizer)  # type: ignore[index]
        settings = CONFIG_MAPPING[self.model_type or name](**config, **named)
        make_model(settings).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        images = getattr(transformers, f"{self.images}Pil")(**self.reads)
        read = json.loads(images.to_json_string()) | {
            "image_processor_type": f"{self.images}Fast",
            "processor_class": self.processor,
        }
        (folder / "preprocessor_config.json").write_text(json.dumps(read))
        (folder / "processor_config.json").write_text(
            json.dumps(self.settings | {"processor_class": self.processor})
        )
        if self.template is not None:
            (folder / "chat_template.jinja").write_text(self.template)
        return folder


@functools.cache
def base_tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


def make_tokenizer(named: dict[str, str], more: list[str]) -> PreTrainedTokenizerFast:
    made = PreTrainedTokenizerFast(
        tokenizer_object=copy.deepcopy(base_tokenizer().backend_tokenizer),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=named,
    )
    made.add_special_tokens({"additional_special_tokens": [*named.values(), *more]})
    return made


def make_model(settings: transformers.PretrainedConfig) -> transformers.PreTrainedModel:
    """Random weights, large enough in the decoder for it to be unsure by turns."""
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(settings).eval()
    random = torch.Generator().manual_seed(8)
    tower = ("vision", "visual", "projector", "connector", "merger", "embed_tokens")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lm_head" in name or "embed_tokens" in name:
                weight.normal_(0, 0.5, generator=random)
            elif weight.ndim >= 2 and not any(part in name for part in tower):
                weight.normal_(0, 0.3, generator=random)
            elif weight.ndim >= 2:
                weight.normal_(0, 0.2, generator=random)
    model.generation_config.eos_token_id = None
    return model


def text(**more: object) -> dict[str, object]:
    return TEXT | more


def turns(image: str, begin: str, end: str, answer: str, *, start: str = "") -> str:
    """A chat template: `begin` holds ROLE; a part that is an image becomes `image`."""
    before, after = begin.split("ROLE")
    return (
        f"{start}{{% for message in messages %}}{before}{{{{ message['role'] }}}}{after}"
        f"{{% for part in message['content'] %}}{{% if part['type'] == 'image' %}}{image}"
        f"{{% else %}}{{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}{end}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{answer}{{% endif %}}"
    )


def chatml(image: str) -> str:
    return turns(image, "<|im_start|>ROLE\n", "<|im_end|>\n", "<|im_start|>assistant\n")
