"""How likely an answer is, without sampling one."""

import math

import pytest
import torch
from bundled_settings import ALWAYS

from memvr_integrations.backend import Backend, QueueConfig
from memvr_integrations.errors import RequestError


def by_hand(backend: Backend, request, text: str) -> float:
    """The same from one forward pass of the plain model."""
    host = backend._host
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "image", "image": request.images[0].source},
                {"type": "text", "text": request.messages[0].content[-1].text},
            ],
        }
    ]
    inputs = host.processor.apply_chat_template(
        messages,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    total = []
    for spelling in host.spellings(text):
        ids = torch.cat([inputs["input_ids"], torch.tensor([spelling])], 1)
        with torch.inference_mode():
            out = host.model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=inputs["pixel_values"],
            )
        logs = out.logits[0, -len(spelling) - 1 : -1].log_softmax(-1)
        total.append(sum(logs[at, token].item() for at, token in enumerate(spelling)))
    return float(torch.tensor(total).logsumexp(0))


def test_scores_are_those_of_the_model(backend, ask):
    request = ask("Is there a cow?", 0, memvr=None)
    answers = ["Yes", "No", "A farm scene with two cows."]
    for answer, score in zip(answers, backend.score(request, answers), strict=True):
        assert score == pytest.approx(by_hand(backend, request, answer), abs=1e-3)


async def test_both_ways_to_ask_agree(backend, ask):
    request = ask("Is there a cow?", 0)
    assert await backend.ascore(request, ["Yes", "No"]) == pytest.approx(
        backend.score(request, ["Yes", "No"]), abs=1e-4
    )


def test_the_likelier_answer_is_the_one_that_is_given(backend, ask):
    request = ask("Is there a cow? Answer yes or no.", 0, max_tokens=1)
    [done] = backend.generate(request)
    scores = dict(zip(("Yes", "No"), backend.score(request, ["Yes", "No"]), strict=True))
    assert max(scores, key=scores.get) == done.text
    assert sum(math.exp(score) for score in scores.values()) <= 1 + 1e-4


def test_memvr_acts_on_scores(backend, ask):
    plain, armed = (
        backend.score(ask("Is there a cow?", 0, memvr=memvr), ["Yes"]) for memvr in (None, ALWAYS)
    )
    assert plain != armed


@pytest.mark.parametrize("answers", [[], [""], ["Yes", ""], "Yes", ["Yes", 3], [" "]])
def test_nothing_has_no_score(backend, ask, answers):
    with pytest.raises(RequestError, match="must hold texts"):
        backend.score(ask("Is there a cow?", 0), answers)


NESTED = ("No", "No, there", "No, there is no cow")


@pytest.mark.parametrize("answers", [NESTED, NESTED[::-1]])
async def test_what_goes_on_to_a_longer_answer_is_that_ones(backend, ask, answers):
    request = ask("Is there a cow?", 0)
    begun = {one: math.exp(backend.score(request, [one])[0]) for one in answers}
    short, longer, longest = (begun[one] for one in NESTED)
    expected = {NESTED[0]: short - longer, NESTED[1]: longer - longest, NESTED[2]: longest}
    for scores in (backend.score(request, answers), await backend.ascore(request, answers)):
        found = dict(zip(answers, map(math.exp, scores), strict=True))
        assert found == pytest.approx(expected, abs=1e-4)


def test_numbers_count_apart(backend, ask):
    """However the tokenizer cuts "10", with or without a blank before it."""
    request = ask("How many cows are there?", 0)
    [begun], [ten] = (backend.score(request, [one]) for one in ("1", "10"))
    host = backend._host
    inside = any(
        tens[: len(one)] == one for one in host.spellings("1") for tens in host.spellings("10")
    )
    alone, again = map(math.exp, backend.score(request, ["1", "10"]))
    assert again == pytest.approx(math.exp(ten), abs=1e-4)
    expected = math.exp(begun) - math.exp(ten) * inside
    assert alone == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("answers", [("Yes", "Yes"), ("Yes", " Yes"), ("No", " Yes", "Yes")])
def test_the_same_answer_is_not_shared_with_itself(backend, ask, answers):
    with pytest.raises(RequestError, match=r"'Yes'.* are the same tokens"):
        backend.score(ask("Is there a cow?", 0), answers)


async def test_each_may_count_as_if_it_were_the_only_one(backend, ask):
    request = ask("Is there a cow?", 0)
    answers = [*NESTED, "No", " No"]
    begun = [backend.score(request, [one])[0] for one in (*NESTED, "No", "No")]
    found = backend.score(request, answers, exclusive=False)
    assert found == pytest.approx(begun, abs=1e-4)
    assert await backend.ascore(request, answers, exclusive=False) == pytest.approx(found, abs=1e-4)


async def test_more_answers_than_the_queue_has_places_have_scores(make_backend, ask):
    backend = make_backend(queueing=QueueConfig(max_waiting=2))
    answers = [f"{word} cows" for word in ("One", "Two", "Three", "Four", "Five")]
    scores = backend.score(ask("How many?"), answers)
    assert scores == pytest.approx(await backend.ascore(ask("How many?"), answers), abs=1e-4)
    assert len(scores) == 5
