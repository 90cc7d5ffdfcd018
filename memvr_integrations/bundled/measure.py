"""Asks the bundled model about scenes whose truth is known, and counts what it gets right.

The yes/no questions follow POPE: as many about what is absent as about what is there, the absent
ones chosen at random, among what is common (`popular`), or among what usually comes with the
things that are there (`adversarial`).
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoProcessor, LlavaForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from memvr_integrations.bundled.questions import SHORT
from memvr_integrations.bundled.scenes import Scene, Sprites, draw_scene, sample_names
from memvr_integrations.bundled.words import CLASSES, COLORS, NUMBERS, classes_of, plural
from memvr_integrations.bundled.words import with_article as a
from memvr_integrations.memvr import (
    MemVRConfig,
    RowTrace,
    VisualMemory,
    layer_entropy,
    retracing,
)

NEGATIVES = ("random", "popular", "adversarial")
_BATCH = 64
_PRIOR_SCENES = 20_000

_MENTIONS = {name: name for name in CLASSES} | {plural(name): name for name in CLASSES}
_MENTIONS["loaves"] = "bread"


@dataclass(frozen=True, kw_only=True)
class Question:
    """Is there a `name` in scene number `scene`? `kind` is "positive" or one of `NEGATIVES`."""

    scene: int
    name: str
    kind: str

    @property
    def truth(self) -> bool:
        """Whether the right answer is yes."""
        return self.kind == "positive"


def held_out_scenes(
    count: int, *, themes: Sequence[str], seed: int, files: Sequence[Path]
) -> list[Scene]:
    """Fresh scenes in the art of the given sprite files; training never uses these seeds."""
    rng, sprites = random.Random(f"held out {seed}"), Sprites(*files)
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = draw_scene(rng, sprites, themes)
        if scene.things:
            scenes.append(scene)
    return scenes


def exam(scenes: Sequence[Scene], *, themes: Sequence[str], seed: int = 0) -> list[Question]:
    """Up to two questions of each kind about every scene."""
    known = classes_of(tuple(themes))
    common, together = _habits(themes)
    rng = random.Random(f"exam {seed}")
    questions = []
    for index, scene in enumerate(scenes):
        there = sorted(scene.names)
        absent = [name for name in known if name not in scene.names]
        size = min(2, len(there))
        chosen = {
            "positive": rng.sample(there, size),
            "random": rng.sample(absent, size),
            "popular": sorted(absent, key=lambda name: -common[name])[:size],
            "adversarial": sorted(
                absent, key=lambda name: -sum(together[other, name] for other in there)
            )[:size],
        }
        questions += [
            Question(scene=index, name=name, kind=kind)
            for kind, names in chosen.items()
            for name in names
        ]
    return questions


def _habits(themes: Sequence[str]) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """How often a class comes, and how often two come together, by the generator's prior."""
    rng = random.Random("habits")
    common: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for _ in range(_PRIOR_SCENES):
        _, names = sample_names(rng, themes)
        common.update(names)
        together.update((one, other) for one in names for other in names if one != other)
    return common, together


class Examinee:
    """The model under examination, asked in batches."""

    def __init__(self, folder: Path) -> None:
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.model.eval()
        self._generate: Callable[..., Tensor] = self.model.generate  # type: ignore[assignment, misc]
        self.processor = AutoProcessor.from_pretrained(folder)

    @torch.inference_mode()
    def see(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """The visual tokens of pictures, (pictures, tokens, dim)."""
        parts = []
        for start in range(0, len(pictures), _BATCH):
            inputs = self.processor.image_processor(
                images=list(pictures[start : start + _BATCH]), return_tensors="pt"
            )
            parts.append(torch.stack(self.model.get_image_features(**inputs).pooler_output))
        return torch.cat(parts)

    def margins(
        self,
        features: Tensor,
        questions: Sequence[Question],
        *,
        config: MemVRConfig | None = None,
        instead: Tensor | None = None,
    ) -> tuple[Tensor, list[RowTrace]]:
        """How much likelier yes is than no, for every question, and what MemVR did.

        `instead` holds other visual tokens to retrace with (the control "another image").
        Returns logit differences (questions,) and a trace a question, none with MemVR off.
        """
        texts = [f"Is there {a(question.name)} in the image?{SHORT}" for question in questions]
        owners = [question.scene for question in questions]
        yes, no = self._word("Yes"), self._word("No")
        margins, traces = [], list[RowTrace]()
        for batch in _batches(len(questions)):
            logits, rows = self._ask(
                [texts[i] for i in batch], [owners[i] for i in batch], features, config, instead
            )
            margins.append(logits[:, yes] - logits[:, no])
            traces += rows
        return torch.cat(margins), traces

    @torch.inference_mode()
    def _ask(
        self,
        texts: Sequence[str],
        owners: Sequence[int],
        features: Tensor,
        config: MemVRConfig | None,
        instead: Tensor | None,
    ) -> tuple[Tensor, Sequence[RowTrace]]:
        """Logits of the first answer token (questions, vocabulary), and what MemVR did."""
        inputs = self._inputs(texts, features.shape[1])
        with retracing(self.model, config, memory=_memory(instead, owners)) as trace:
            output = self.model(**inputs, **_seen(owners, features), logits_to_keep=1)
        step = trace.latest()
        return output.logits[:, -1], step.rows if step else ()

    @torch.inference_mode()
    def say(
        self,
        features: Tensor,
        asked: Sequence[tuple[int, str]],
        *,
        config: MemVRConfig | None = None,
        instead: Tensor | None = None,
        tokens: int = 60,
    ) -> list[str]:
        """Greedy answers to (scene, question) pairs."""
        answers: list[str] = []
        for batch in _batches(len(asked)):
            owners = [asked[i][0] for i in batch]
            inputs = self._inputs([asked[i][1] for i in batch], features.shape[1])
            with retracing(self.model, config, memory=_memory(instead, owners)):
                ids = self._generate(
                    **inputs, **_seen(owners, features), max_new_tokens=tokens, do_sample=False
                )
            new = ids[:, inputs["input_ids"].shape[1] :]
            answers += self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [answer.strip() for answer in answers]

    @torch.inference_mode()
    def say_and_doubt(
        self, features: Tensor, asked: Sequence[tuple[int, str]], *, tokens: int = 24
    ) -> tuple[list[str], Tensor]:
        """Greedy answers to (scene, question) pairs, MemVR off, and how unsure each is.

        That is the highest entropy of the output (0 to 1) over the tokens of an answer that hold
        a letter or a digit; (questions,).
        """
        answers, doubts = list[str](), list[Tensor]()
        tokenizer = self.processor.tokenizer
        speaks = torch.tensor(
            [
                any(map(str.isalnum, tokenizer.decode([token], skip_special_tokens=True)))
                for token in range(self.model.config.get_text_config().vocab_size)
            ]
        )
        for batch in _batches(len(asked)):
            owners = [asked[i][0] for i in batch]
            inputs = self._inputs([asked[i][1] for i in batch], features.shape[1])
            output = self._generate(
                **inputs,
                **_seen(owners, features),
                max_new_tokens=tokens,
                do_sample=False,
                return_dict_in_generate=True,
                output_logits=True,
            )
            new = output.sequences[:, inputs["input_ids"].shape[1] :]  # type: ignore[attr-defined]
            answers += tokenizer.batch_decode(new, skip_special_tokens=True)
            entropy = layer_entropy(torch.stack(output.logits, 1))  # type: ignore[attr-defined]
            doubts.append((entropy * speaks[new]).max(1).values)
        return [answer.strip() for answer in answers], torch.cat(doubts)

    def _inputs(self, texts: Sequence[str], tokens: int) -> dict[str, Tensor]:
        tokenizer = self.processor.tokenizer
        image = tokenizer.image_token * tokens
        prompts = [f"{tokenizer.bos_token}USER: {image}\n{text} ASSISTANT:" for text in texts]
        inputs = tokenizer(
            prompts, add_special_tokens=False, padding=True, return_tensors="pt",
            return_token_type_ids=False,
        )  # fmt: skip
        return dict(inputs)

    def _word(self, word: str) -> int:
        return int(self.processor.tokenizer(" " + word, add_special_tokens=False).input_ids[0])


def _seen(
    owners: Sequence[int], features: Tensor
) -> dict[str, dict[str, BaseModelOutputWithPooling]]:
    """Visual tokens as the argument in which transformers takes them already encoded."""
    tokens = list(features[list(owners)])
    output = BaseModelOutputWithPooling(pooler_output=tokens)  # type: ignore[arg-type]
    return {"mm_encoder_outputs": {"image": output}}


def _memory(instead: Tensor | None, owners: Sequence[int]) -> VisualMemory | None:
    if instead is None:
        return None
    return VisualMemory.from_rows([[instead[owner]] for owner in owners])


def _batches(size: int) -> list[range]:
    return [range(start, min(start + _BATCH, size)) for start in range(0, size, _BATCH)]


def auc(scores: Tensor, truth: Tensor) -> float:
    """The chance that a true question scores above a false one, ties counted half."""
    order = scores.argsort()
    ranks = torch.empty(len(scores), dtype=torch.float64)
    ranks[order] = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    _, inverse, counts = scores.unique(return_inverse=True, return_counts=True)
    ranks = (
        torch.zeros(len(counts), dtype=torch.float64).scatter_add_(0, inverse, ranks)[inverse]
        / counts[inverse]
    )
    true = int(truth.sum())
    false = len(truth) - true
    return float((ranks[truth].sum() - true * (true + 1) / 2) / (true * false))


def mentioned(text: str) -> set[str]:
    """The classes that a sentence names."""
    return {_MENTIONS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _MENTIONS}


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A question with one right word, asked of one scene; `kind` is "count" or "color"."""

    scene: int
    question: str
    right: str
    kind: str


def attributes(scenes: Sequence[Scene]) -> list[Attribute]:
    """One counting question about every thing, and the colour of every painted one."""
    asked = []
    for index, scene in enumerate(scenes):
        for thing in scene.things:
            question = f"How many {plural(thing.name)} are there?"
            if thing.count <= 4:
                right = NUMBERS[thing.count]
                asked.append(Attribute(scene=index, question=question, right=right, kind="count"))
            if thing.color:
                noun = thing.name if thing.count == 1 else plural(thing.name)
                verb = "is" if thing.count == 1 else "are"
                asked.append(
                    Attribute(
                        scene=index,
                        question=f"What color {verb} the {noun}?",
                        right=thing.color,
                        kind="color",
                    )
                )
    return asked


def is_right(asked: Attribute, answer: str) -> bool:
    """Whether an answer holds the right number or colour word, and no other."""
    words = set(re.findall(r"[a-z]+", answer.lower()))
    choices = set(NUMBERS) if asked.kind == "count" else set(COLORS)
    # "an orange" is a fruit only in other themes; a colour answer names one colour.
    return words & choices == {asked.right}


def caption_counts(scenes: Sequence[Scene], captions: Sequence[str]) -> Tensor:
    """Per caption: mentions, wrong mentions, things there, things named; (captions, 4)."""
    rows = []
    for scene, caption in zip(scenes, captions, strict=True):
        named = mentioned(caption)
        named -= mentioned(f"{scene.theme} scene")
        rows.append(
            [len(named), len(named - scene.names), len(scene.names), len(named & scene.names)]
        )
    return torch.tensor(rows, dtype=torch.float64)
