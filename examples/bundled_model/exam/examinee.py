"""The bundled model under examination: asked in batches, MemVR off, on, or with other sight."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoProcessor, DynamicCache, LlavaForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from bundled_model.exam.prefixes import PicturePrefixes
from memvr_integrations.bundled.world.words import with_article as a
from memvr_integrations.evaluate.benchmarks.scene_questions import SHORT, Question
from memvr_integrations.memvr import (
    MemVRConfig,
    RowTrace,
    VisualMemory,
    blindfolded,
    layer_entropy,
    retracing,
)

_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A question about pictures, by their numbers, behind questions and answers before it."""

    question: str
    pictures: tuple[int, ...]
    before: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """Padded ids and their mask (rows, tokens), visual tokens, or a cache that holds them."""

    ids: Tensor
    mask: Tensor
    shown: Sequence[Tensor] = ()
    cache: DynamicCache | None = None

    def of_all(self) -> dict[str, object]:
        """What `generate` takes."""
        given: dict[str, object] = {"input_ids": self.ids, "attention_mask": self.mask}
        if self.cache is not None:
            given["cache"] = self.cache
        if self.shown:
            seen = BaseModelOutputWithPooling(pooler_output=self.shown)  # type: ignore[arg-type]
            given["mm_encoder_outputs"] = {"image": seen}
        return given

    def of_a_forward(self) -> dict[str, object]:
        """What the model takes: of a cached prompt what isn't in the cache yet."""
        if self.cache is None:
            return self.of_all()
        held = self.cache.get_seq_length()
        positions = (self.mask.cumsum(1) - 1).clamp(min=0)[:, held:]
        return {**self.of_all(), "input_ids": self.ids[:, held:], "position_ids": positions}


def about(picture: int, question: str) -> Prompt:
    """A question about one picture, with nothing before it."""
    return Prompt(question=question, pictures=(picture,))


class Examinee:
    """The model under examination, asked in batches."""

    def __init__(self, folder: Path) -> None:
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.model.eval()
        self._folder = folder
        self._generate: Callable[..., Tensor] = self.model.generate
        self.processor = AutoProcessor.from_pretrained(folder)
        self._blind_from: int | None = None
        shown: str = self.processor.apply_chat_template(_messages(about(0, "")))
        self._opening = shown.partition(self.processor.tokenizer.image_token)[0]
        before = self.processor.tokenizer(self._opening, add_special_tokens=False).input_ids
        self._prefixes = PicturePrefixes(self.model, before)

    def __reduce__(self) -> tuple[type["Examinee"], tuple[Path]]:
        """To another process it goes as its folder: a model that has run doesn't pickle."""
        if self._blind_from is not None:
            raise ValueError("A blindfolded examinee can't be sent to another process.")
        return Examinee, (self._folder,)

    @contextmanager
    def blindfolded(self, layer: int | None) -> Iterator[None]:
        """Within the `with`, no question attends to its pictures from `layer` on; None: all do."""
        self._blind_from = layer
        try:
            yield
        finally:
            self._blind_from = None

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
        prompts = [
            about(question.scene, f"Is there {a(question.name)} in the image?{SHORT}")
            for question in questions
        ]
        return self.leanings(features, prompts, config=config, instead=instead)

    @torch.inference_mode()
    def leanings(
        self,
        features: Tensor,
        prompts: Sequence[Prompt],
        *,
        config: MemVRConfig | None = None,
        instead: Tensor | None = None,
    ) -> tuple[Tensor, list[RowTrace]]:
        """`margins` of any yes/no questions."""
        yes, no = self._word("Yes"), self._word("No")
        margins, traces = torch.zeros(len(prompts)), list[RowTrace | None]([None] * len(prompts))
        for places, batch in self._batches(prompts):
            memory = _memory(instead, batch)
            inputs = self._inputs(batch, features, plain=config is None)
            with self._hidden(), retracing(self.model, config, memory=memory) as trace:
                output = self.model(**inputs.of_a_forward(), logits_to_keep=1)
            margins[places] = output.logits[:, -1, yes] - output.logits[:, -1, no]
            step = trace.latest()
            for place, row in zip(places, step.rows if step else (), strict=False):
                traces[place] = row
        return margins, [row for row in traces if row is not None]

    @torch.inference_mode()
    def say(
        self,
        features: Tensor,
        prompts: Sequence[Prompt],
        *,
        config: MemVRConfig | None = None,
        instead: Tensor | None = None,
        tokens: int = 60,
    ) -> list[str]:
        """Greedy answers."""
        answers = [""] * len(prompts)
        for places, batch in self._batches(prompts):
            inputs = self._inputs(batch, features, plain=config is None)
            memory = _memory(instead, batch)
            with self._hidden(), retracing(self.model, config, memory=memory):
                ids = self._generate(**inputs.of_all(), max_new_tokens=tokens, do_sample=False)
            for place, text in zip(places, self._decoded(ids, inputs), strict=True):
                answers[place] = text
        return answers

    @torch.inference_mode()
    def say_and_doubt(
        self, features: Tensor, prompts: Sequence[Prompt], *, tokens: int = 24
    ) -> tuple[list[str], Tensor]:
        """Greedy answers, MemVR off, and how unsure each is.

        That is the highest entropy of the output (0 to 1) over the tokens of an answer that hold
        a letter or a digit; (prompts,).
        """
        answers, doubts = [""] * len(prompts), torch.zeros(len(prompts))
        tokenizer = self.processor.tokenizer
        speaks = torch.tensor(
            [
                any(map(str.isalnum, tokenizer.decode([token], skip_special_tokens=True)))
                for token in range(self.model.config.get_text_config().vocab_size)
            ]
        )
        for places, batch in self._batches(prompts):
            inputs = self._inputs(batch, features, plain=True)
            output = self._generate(
                **inputs.of_all(),
                max_new_tokens=tokens,
                do_sample=False,
                return_dict_in_generate=True,
                output_logits=True,
            )
            ids: Tensor = output.sequences  # type: ignore[attr-defined]
            for place, text in zip(places, self._decoded(ids, inputs), strict=True):
                answers[place] = text
            entropy = layer_entropy(torch.stack(output.logits, 1))  # type: ignore[attr-defined]
            new = ids[:, inputs.ids.shape[1] :]
            doubts[places] = (entropy * speaks[new]).max(1).values
        return answers, doubts

    def _hidden(self) -> AbstractContextManager[None]:
        if self._blind_from is None:
            return nullcontext()
        return blindfolded(self.model, from_layer=self._blind_from)

    def _batches(self, prompts: Sequence[Prompt]) -> Iterator[tuple[list[int], list[Prompt]]]:
        """Prompts of like length together, and their places: padding costs as much as words."""
        texts = [
            (len(p.pictures), sum(map(len, (p.question, *sum(p.before, ()))))) for p in prompts
        ]
        order = sorted(range(len(prompts)), key=texts.__getitem__)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            yield places, [prompts[place] for place in places]

    def _inputs(self, prompts: Sequence[Prompt], features: Tensor, *, plain: bool) -> "_Inputs":
        """Padded ids, their mask, and visual tokens as transformers takes them already encoded.

        Where nothing watches how a picture is read (`plain`), a cache in which it is read already
        takes the place of visual tokens.
        """
        image = self.processor.tokenizer.image_token
        texts = [
            self.processor.apply_chat_template(_messages(prompt), add_generation_prompt=True)
            for prompt in prompts
        ]
        alone = all(len(prompt.pictures) == 1 for prompt in prompts)
        if plain and alone and self._blind_from is None:
            return self._read_already(prompts, texts, features)
        ids, mask = self._tokenized(
            [text.replace(image, image * features.shape[1]) for text in texts]
        )
        shown = [picture for prompt in prompts for picture in prompt.pictures]
        return _Inputs(ids=ids, mask=mask, shown=list(features[shown]))

    def _read_already(
        self, prompts: Sequence[Prompt], texts: Sequence[str], features: Tensor
    ) -> "_Inputs":
        image = self.processor.tokenizer.image_token
        first = self._tokenized([self._opening + image * features.shape[1]])
        rest = self._tokenized([text.removeprefix(self._opening + image) for text in texts])
        ids, mask = (
            torch.cat([one.expand(len(texts), -1), other], 1)
            for one, other in zip(first, rest, strict=True)
        )
        cache = self._prefixes.cache(features, [prompt.pictures[0] for prompt in prompts])
        return _Inputs(ids=ids, mask=mask, cache=cache)

    def _tokenized(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask (texts, tokens), padded at the left."""
        told = self.processor.tokenizer(
            texts, add_special_tokens=False, padding=True, return_tensors="pt"
        )
        return told.input_ids, told.attention_mask

    def _decoded(self, ids: Tensor, inputs: "_Inputs") -> list[str]:
        new = ids[:, inputs.ids.shape[1] :]
        texts = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _word(self, word: str) -> int:
        return int(self.processor.tokenizer(" " + word, add_special_tokens=False).input_ids[0])


def _messages(prompt: Prompt) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = []
    for question, answer in (*prompt.before, (prompt.question, None)):
        parts = [] if messages else [{"type": "image"}] * len(prompt.pictures)
        content = [*parts, {"type": "text", "text": question}]
        messages.append({"role": "user", "content": content})
        if answer is not None:
            messages.append({"role": "assistant", "content": answer})
    return messages


def _memory(instead: Tensor | None, prompts: Sequence[Prompt]) -> VisualMemory | None:
    if instead is None:
        return None
    return VisualMemory.from_rows([[instead[one] for one in p.pictures] for p in prompts])
