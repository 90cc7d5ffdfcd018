"""What the untouched language model says by itself: trained along, so that it keeps its language.

Trained on pictures alone it answers "What is 7 plus 5?" with "There is no 7 in the picture.".
"""

import json
import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from bundled_model.conversations import truths
from bundled_model.training.stages.joint import DRAWING
from memvr_integrations.bundled.world import SPRITES, THEMES, Scene, Sprites, draw_scene

_ASKED = tomllib.loads(Path(__file__).with_name("plain_questions.toml").read_text("utf-8"))
_SUMS = 400
_OPEN = 1600
_TOKENS, _BATCH = 96, 64
_WARM = 0.7  # every question is answered twice: by the likeliest words, and by likely ones


@dataclass(frozen=True, kw_only=True)
class Said:
    """A question and its answer; `scene` is the number of the open scene that it is about."""

    question: str
    answer: str
    scene: int | None = None


def plain_questions() -> list[str]:
    """All questions without a picture, in an order of their own."""
    rng = random.Random("plain questions")
    asked = [
        template.format(word)
        for kind, templates in _ASKED["templates"].items()
        for template in templates
        for word in _ASKED["words"][kind]
    ]
    for _ in range(_SUMS):
        a, b = rng.randrange(2, 60), rng.randrange(2, 30)
        asked.append(rng.choice(("What is {} plus {}?", "What is {} minus {}?")).format(a, b))
    rng.shuffle(asked)
    return list(dict.fromkeys(asked))


def open_scene(number: int, sprites: Sprites) -> Scene:
    """The scene of a number, about which an open question was answered in words."""
    rng = random.Random(f"open scene {number}")
    while not (scene := draw_scene(rng, sprites, tuple(THEMES), DRAWING)).things:
        pass
    return scene


def answers(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, file: Path) -> list[Said]:
    """Everything that the language model said; computed once, in some minutes, and kept in a file.

    `model` is the untouched one, in any precision.
    """
    if not file.is_file():
        plain = plain_questions()
        asked: list[tuple[str, str, int | None]] = [(one, one, None) for one in plain]
        sprites, rng = Sprites(SPRITES), random.Random("open questions")
        for number in range(_OPEN):
            scene = open_scene(number, sprites)
            question = rng.choice(_ASKED["pictures"]["asked"])
            truth = f"A picture of {scene.theme} things: {truths.caption(scene)}"
            asked.append((question, f"{truth}\n{question} Answer in one or two sentences.", number))
        texts = [text for _, text, _ in asked]
        said = _said(model, tokenizer, texts, warm=False)
        warm = _said(model, tokenizer, plain, warm=True)
        found = [
            Said(question=question, answer=answer, scene=scene)
            for (question, _, scene), answer in zip(asked, said, strict=True)
        ]
        found += [Said(question=q, answer=a) for q, a in zip(plain, warm, strict=True)]
        lines = [json.dumps(vars(one)) for one in found if one.answer]
        half = file.with_suffix(".part")
        half.write_text("\n".join(lines), "utf-8")
        half.replace(file)
    return [Said(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]


@torch.inference_mode()
def _said(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], *, warm: bool
) -> list[str]:
    torch.manual_seed(0)
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # little padding
    said = [""] * len(texts)
    tokenizer.padding_side = "left"
    for start in tqdm(range(0, len(texts), _BATCH), desc="the base's own answers"):
        some = order[start : start + _BATCH]
        asked = [f"<|im_start|>user\n{texts[at]}<|im_end|>\n<|im_start|>assistant\n" for at in some]
        given = tokenizer(asked, add_special_tokens=False, padding=True, return_tensors="pt")
        out = model.generate(
            **given,
            max_new_tokens=_TOKENS,
            do_sample=warm,
            temperature=_WARM if warm else None,
            top_k=40 if warm else None,
            pad_token_id=tokenizer.pad_token_id,
        )
        for at, row in zip(some, out[:, given.input_ids.shape[1] :], strict=True):
            said[at] = _whole(str(tokenizer.decode(row, skip_special_tokens=True)).strip(), row)
    return said


def _whole(text: str, row: torch.Tensor) -> str:
    """An answer that was cut ends with its last whole sentence."""
    ended = len(row) < _TOKENS or int(row[-1]) == int(row[-2])  # by padding
    if ended:
        return text
    return text[: max(text.rfind(end) for end in ".!?") + 1]
