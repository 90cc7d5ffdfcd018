"""Penalties, bias, ends and likely tokens through the whole backend."""

import dataclasses
import json
from itertools import islice

import pytest
import torch
from hooked import END, attached
from torch.nn.functional import log_softmax

from memvr_integrations.backend import Image, Message, Request, SamplingParams, Tool
from memvr_integrations.errors import RequestError
from memvr_integrations.types.decoding import VCDConfig

SHAPED = {
    "top_logprobs": 3,
    "presence_penalty": 0.7,
    "frequency_penalty": 1.5,
    "logit_bias": {300: 6.0, 301: -100.0},
    "min_tokens": 6,
}


@pytest.fixture
def logits_of(loaded, scenes):
    """The model's own logits at each token of an answer, from one plain forward."""

    def compute(answer, question, number):
        content = [{"type": "image", "image": Image(scenes[number].pixels).source}]
        content += [{"type": "text", "text": question}]
        inputs = loaded.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
        )
        length = inputs["input_ids"].shape[1]
        said = torch.tensor([[token.id for token in answer.tokens]])
        ids = torch.cat([inputs["input_ids"], said], dim=1)
        with torch.no_grad():
            out = loaded.model(input_ids=ids, pixel_values=inputs["pixel_values"])
        return out.logits[0, length - 1 : -1]

    return compute


@pytest.mark.parametrize("options", [{}, {"temperature": 3.0, "seed": 4, "frequency_penalty": 2.0}])
def test_top_is_what_a_plain_forward_finds_likeliest(backend, ask, logits_of, options):
    [answer] = backend.generate(
        ask("Describe the picture.", 1, memvr=None, max_tokens=9, top_logprobs=20, **options)
    )
    expected = log_softmax(logits_of(answer, "Describe the picture.", 1), -1).topk(20)
    for at, token in enumerate(answer.tokens):
        assert [one.id for one in token.top] == expected.indices[at].tolist()
        logs = [one.logprob for one in token.top]
        assert logs == pytest.approx(expected.values[at].tolist(), abs=1e-4)
        assert logs == sorted(logs, reverse=True)
        own = {one.id: one for one in token.top}.get(token.id)
        if own is not None:
            assert (own.logprob, own.text) == (token.logprob, token.text)
    if not options:
        assert all(token.top[0].id == token.id for token in answer.tokens)


def test_top_is_empty_unless_asked_for(backend, ask):
    [answer] = backend.generate(ask(max_tokens=2))
    assert [token.top for token in answer.tokens] == [(), ()]


def test_every_token_is_the_best_after_bias_and_penalties(backend, ask, logits_of):
    """By hand: the model's logits, the bias, and what the answer's own tokens cost."""
    question = "Describe the picture."
    [plain] = backend.generate(ask(question, 1, memvr=None, max_tokens=30))
    [answer] = backend.generate(ask(question, 1, memvr=None, max_tokens=30, **SHAPED))
    ids = [token.id for token in answer.tokens]
    assert ids != [token.id for token in plain.tokens]
    for at, logits in enumerate(logits_of(answer, question, 1)):
        logits[300] += 6.0
        logits[301] -= 100.0
        if at < 6:
            logits[END] = -torch.inf
        for token in set(ids[:at]):
            logits[token] -= 0.7 + 1.5 * ids[:at].count(token)
        assert logits[ids[at]] == pytest.approx(float(logits.max()), abs=1e-3)
    assert 301 not in ids


def test_each_of_mixed_rows_equals_itself_alone(fresh, ask):
    requests = [
        ask("Describe the picture.", 0, max_tokens=12, **SHAPED),
        ask("Is there a dog in the picture, or a cat, or a cow?", 1, max_tokens=7, top_logprobs=1),
        ask("Hello?", max_tokens=9, temperature=1.2, seed=3, **SHAPED),
        ask("What?", 2, max_tokens=3),
    ]
    together = fresh.generate(requests)
    assert fresh.steps == 11
    for one, request in zip(together, requests, strict=True):
        [alone] = fresh.generate(request)
        assert [token.id for token in one.tokens] == [token.id for token in alone.tokens]
        for mine, theirs in zip(one.tokens, alone.tokens, strict=True):
            wanted = request.sampling.top_logprobs
            assert len(mine.top) == len(theirs.top) == wanted
            assert [likely.logprob for likely in mine.top] == pytest.approx(
                [likely.logprob for likely in theirs.top], abs=1e-4
            )


def test_an_answer_that_is_computed_again_goes_on_as_it_began(fresh, ask):
    requests = [ask("Describe it.", n, max_tokens=12, **SHAPED) for n in range(2)]
    before = fresh.generate(requests)
    steps = 0

    def fail(module, args, out):
        nonlocal steps
        steps += 1
        if steps == 5:
            raise torch.OutOfMemoryError("no room")

    with attached(fresh, fail):
        after = fresh.generate(requests)
    assert steps > 12  # it was
    for one, other in zip(after, before, strict=True):
        assert [token.id for token in one.tokens] == [token.id for token in other.tokens]
        assert [len(token.top) for token in one.tokens] == [3] * len(one.tokens)


@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "seed": 1}])
def test_no_end_token_comes_before_min_tokens(backend, ask, scripted, ids_of, options):
    ids = ids_of(" A dog.")
    with scripted(backend, ids):
        [answer] = backend.generate(ask(memvr=None, min_tokens=len(ids) + 3, **options))
        [short] = backend.generate(ask(memvr=None, min_tokens=len(ids), **options))
    said = [token.id for token in answer.tokens]
    assert said[: len(ids)] == ids
    assert END not in said[:-1]
    assert (len(said), said[-1], answer.finish_reason) == (len(ids) + 4, END, "stop")
    assert [token.id for token in short.tokens] == [*ids, END]


def test_min_tokens_holds_stop_strings_and_stop_tokens_back(backend, ask, scripted, ids_of):
    ids = ids_of(" dog cat dog cow")
    assert len(ids) == 4
    with scripted(backend, ids):
        [texts] = backend.generate(ask(memvr=None, stop="dog", min_tokens=2))
        [tokens] = backend.generate(ask(memvr=None, stop_token_ids=[ids[0]], min_tokens=1))
    assert (texts.text, texts.finish_reason) == ("dog cat ", "stop")
    # The first may not come, so it is another one; the third ends the answer.
    assert tokens.tokens[0].id != ids[0]
    assert [token.id for token in tokens.tokens[1:]] == ids[1:3]


def test_a_stop_token_ends_an_answer_and_its_stream(backend, ask, scripted, ids_of):
    ids = ids_of(" There is a dog in the picture.")
    dog = ids_of(" dog")[0]
    with scripted(backend, ids):
        chunks = list(backend.stream(ask(memvr=None, stop_token_ids=[dog, 9], top_logprobs=2)))
    done = chunks[-1].completion
    assert (done.text, done.finish_reason) == ("There is a", "stop")
    assert "".join(chunk.text for chunk in chunks) == done.text
    assert [token.id for token in done.tokens] == ids[: ids.index(dog) + 1]
    assert done.usage.completion_tokens == len(done.tokens)
    assert tuple(token for chunk in chunks for token in chunk.tokens) == done.tokens
    assert done.tokens[-1].top[0].text == " dog"
    assert [len(token.top) for token in done.tokens] == [2] * len(done.tokens)


def test_a_stop_token_may_leave_nothing_and_nobody_is_warned(backend, ask, scripted, ids_of):
    ids = ids_of(" dog")
    with scripted(backend, ids):
        [done] = backend.generate(ask(memvr=None, stop_token_ids=ids))
    assert (done.text, done.finish_reason) == ("", "stop")


def test_a_schema_comes_before_bias_ends_and_penalties(backend, ask, ids_of):
    banned = {token: -100 for text in ("true", "false", "t", "f") for token in ids_of(text)}
    [done] = backend.generate(
        ask(
            response_format={"type": "boolean"},
            logit_bias=banned,
            stop_token_ids=list(banned),
            min_tokens=30,
            max_tokens=40,
            frequency_penalty=2,
            memvr=None,
        )
    )
    assert json.loads(done.text) in (True, False)
    assert done.finish_reason == "stop"


def test_words_beside_tools_end_by_stop_tokens(backend, scripted, ids_of):
    ids = ids_of(" a dog here")
    tool = Tool(name="zoom", description="", parameters={"type": "object", "properties": {}})
    sampling = SamplingParams(stop_token_ids=ids_of(" dog"), min_tokens=2, max_tokens=60)
    request = Request(
        messages=(Message("user", "What?"),), sampling=sampling, tools=(tool,), memvr=None
    )
    shorter = dataclasses.replace(request, sampling=SamplingParams(stop_token_ids=ids_of(" dog")))
    with scripted(backend, ids):
        [late], [early] = backend.generate(request), backend.generate(shorter)
    assert early.text == "a"
    assert len(late.tokens) > 2
    assert not early.tool_calls


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"logit_bias": {5: 1, 99_999: 1}}, "logit_bias names token 99999, and .* 0 to "),
        ({"stop_token_ids": [99_999]}, r"stop_token_ids names token 99999.*Backend\.tokenize"),
    ],
)
async def test_a_token_that_the_model_has_not_is_refused(backend, ask, options, match):
    with pytest.raises(RequestError, match=match):
        backend.generate(ask(**options))
    with pytest.raises(RequestError, match=match):
        await anext(backend.astream(ask(**options)))


def test_the_last_token_of_the_vocabulary_may_be_named(backend, ask):
    last = backend._host.vocabulary - 1
    [done] = backend.generate(ask(logit_bias={last: 100}, max_tokens=1, stop_token_ids=[last]))
    assert [token.id for token in done.tokens] == [last]
    with pytest.raises(RequestError, match=f"logit_bias names token {last + 1}"):
        backend.generate(ask(logit_bias={last + 1: 100}))


def test_scores_are_not_affected(backend, ask):
    plain = backend.score(ask("A dog?", 0), ["Yes", "No"])
    shaped = ask("A dog?", 0, stop_token_ids=[5], **SHAPED)
    assert backend.score(shaped, ["Yes", "No"]) == plain


def test_what_a_strategy_rules_out_is_not_among_the_likeliest(backend, ask):
    [cut] = backend.generate(
        ask("Describe it.", 0, max_tokens=4, top_logprobs=5, decoding=VCDConfig(beta=1.0))
    )
    for token in cut.tokens:
        [only] = token.top
        assert (only.id, only.logprob) == (token.id, token.logprob)
        assert only.logprob == pytest.approx(0, abs=1e-6)


def test_where_a_strategy_leaves_an_end_alone_min_tokens_takes_the_models_own(
    backend, ask, scripted, ids_of
):
    ids = ids_of(" a")
    with scripted(backend, ids):
        [done] = backend.generate(
            ask("What?", 0, memvr=None, min_tokens=4, decoding=VCDConfig(beta=1.0))
        )
    said = [token.id for token in done.tokens]
    assert len(said) == 5
    assert END not in said[:-1]
    assert all(token.logprob > -torch.inf for token in done.tokens)


def test_several_answers_have_their_own(backend, ask):
    [done] = backend.generate(ask(n=2, temperature=1.5, seed=1, max_tokens=4, top_logprobs=2))
    for answer in (done, *done.alternatives):
        assert [len(token.top) for token in islice(answer.tokens, 4)] == [2] * len(answer.tokens)
