"""What is left of the language: `python -m bundled_model.real_language.language_exam MODEL`.

Plain questions with one right answer, and the perplexity of plain text, of a merged model beside
the language model that it was made of.
"""

import argparse
import math
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from transformers import (
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from bundled_model.real_language.base import fetch, open_base

QUESTIONS: dict[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("exam_plain.toml").read_text("utf-8")
)["questions"]
_TEXT = Path(__file__).parents[3] / "LICENSE"
_READ, _TOKENS, _BATCH = 2000, 40, 25

Answering: TypeAlias = LlamaForCausalLM | LlavaForConditionalGeneration


def is_right(answer: str, words: Sequence[str]) -> bool:
    """Whether one of the words stands in an answer by itself."""
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", answer) for word in words)


@torch.inference_mode()
def said(
    model: Answering, tokenizer: PreTrainedTokenizerFast, questions: Sequence[str]
) -> list[str]:
    """Greedy answers to questions without a picture."""
    answers = []
    tokenizer.padding_side = "left"
    for start in range(0, len(questions), _BATCH):
        some = questions[start : start + _BATCH]
        asked = [f"<|im_start|>user\n{one}<|im_end|>\n<|im_start|>assistant\n" for one in some]
        given = tokenizer(asked, add_special_tokens=False, padding=True, return_tensors="pt")
        out = model.generate(
            input_ids=given.input_ids,
            attention_mask=given.attention_mask,
            max_new_tokens=_TOKENS,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )
        new = out[:, given.input_ids.shape[1] :]
        answers += [str(tokenizer.decode(row, skip_special_tokens=True)).strip() for row in new]
    return answers


@torch.inference_mode()
def perplexity(model: Answering, tokenizer: PreTrainedTokenizerFast) -> float:
    """Of the text of the project's licence."""
    ids = tokenizer(_TEXT.read_text("utf-8"), return_tensors="pt").input_ids[:, :_READ]
    return math.exp(float(model(input_ids=ids, labels=ids).loss))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both, for both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a merged model's folder")
    parser.add_argument("--base", type=Path, default=Path("scenes-135m-run/base"))
    parser.add_argument("--show", action="store_true", help="print every answer")
    args = parser.parse_args(arguments)
    base, tokenizer = open_base(fetch(args.base))
    trained = LlavaForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    own = PreTrainedTokenizerFast.from_pretrained(args.model)
    for name, model, reads in (("base", base, tokenizer), ("trained", trained, own)):
        answers = said(model, reads, list(QUESTIONS))
        right = [is_right(a, w) for a, w in zip(answers, QUESTIONS.values(), strict=True)]
        print(
            f"{name}: {sum(right)} of {len(right)} right; perplexity of the licence's text "
            f"{perplexity(model, reads):.3f}",
            flush=True,
        )
        if args.show:
            for question, answer, ok in zip(QUESTIONS, answers, right, strict=True):
                print("  ", "+" if ok else "-", question, "->", answer)


if __name__ == "__main__":
    main()
