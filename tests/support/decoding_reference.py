"""Decoding strategies written down once more, straight from their formulas and without a cache.

Every token is computed from the whole text so far, one request at a time.
"""

import math

import torch


def log_softmax(logits):
    return logits - torch.logsumexp(logits, -1, keepdim=True)


def cut(scores, own, beta):
    """Keep what has at least `beta` times the probability of the likeliest."""
    chances = log_softmax(own).exp()
    return torch.where(chances >= beta * chances.max(), scores, -math.inf)


def greedy(step, tokens):
    """The ids and log-probabilities of `tokens` steps; `step(ids)` gives scores (vocabulary,)."""
    ids, logprobs = [], []
    for _ in range(tokens):
        scores = step(ids)
        ids.append(int(scores.argmax()))
        logprobs.append(float(log_softmax(scores)[ids[-1]]))
    return ids, logprobs


class Reader:
    """A LLaVA with one prompt: everything that a formula may ask it."""

    def __init__(self, model, inputs):
        self.model, self.inputs = model, dict(inputs)

    def changed(self, **inputs):
        return Reader(self.model, self.inputs | inputs)

    @torch.no_grad()
    def run(self, ids, **options):
        new = torch.tensor([ids], dtype=torch.long)
        inputs = dict(self.inputs)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], new], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        out = self.model(**inputs, **options)
        out.logits[..., 2] = -math.inf  # as the tests' `endless` hook has it
        return out

    def logits(self, ids):
        return self.run(ids).logits[0, -1].float()


def read(loaded, scenes, question, *numbers, model=None):
    """A reader of a question about scenes, as the backend would ask it."""
    from PIL import Image

    shown = [{"type": "image", "image": Image.fromarray(scenes[n].pixels)} for n in numbers]
    inputs = loaded.processor.apply_chat_template(
        [{"role": "user", "content": [*shown, {"type": "text", "text": question}]}],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    return Reader(model or loaded.model, inputs)


def same(answer, expected, logprobs):
    import pytest

    assert [token.id for token in answer.tokens] == expected
    assert [token.logprob for token in answer.tokens] == pytest.approx(logprobs, abs=1e-4)
