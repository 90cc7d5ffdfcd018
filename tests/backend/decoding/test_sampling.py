"""One row's next token: greedy, filtered, sampled, repeatable."""

from collections import Counter

import pytest
import torch

from memvr_integrations.backend.decoding.sampling import RowSampler
from memvr_integrations.types import SamplingParams

LOGITS = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
CHANCES = LOGITS.softmax(-1)
NO_IDS = torch.tensor([], dtype=torch.long)


def draws(count=300, *, seed=1, ids=NO_IDS, logits=LOGITS, **params):
    sampler = RowSampler(SamplingParams(**params), seed)
    return [sampler.choose(ids, logits) for _ in range(count)]


def test_greedy_takes_the_likeliest_and_needs_no_random_numbers():
    sampler = RowSampler(SamplingParams(), 1)
    assert sampler.plain
    assert sampler.choose(NO_IDS, LOGITS) == 4


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_where_nothing_has_a_chance_something_is_taken(number):
    """Who samples then can't know better; the batch reports damage, a grammar has a way out."""
    assert draws(1, temperature=1.0, logits=torch.full_like(LOGITS, number))[0] in range(5)


def test_greedy_ignores_the_filters():
    assert set(draws(20, temperature=0.0, top_p=0.1, top_k=3, min_p=0.5)) == {4}


@pytest.mark.parametrize(("temperature", "top"), [(0.5, 0.86), (1, 0.64), (2, 0.42), (1.0, 0.64)])
def test_temperature_flattens(temperature, top):
    counts = Counter(draws(3000, temperature=temperature))
    assert counts[4] / 3000 == pytest.approx(top, abs=0.04)


@pytest.mark.parametrize("temperature", [1e-45, 1e-8, 1e-5, 1e-3])
def test_a_temperature_next_to_zero_is_greedy_and_overflows_nothing(temperature):
    assert set(draws(20, temperature=temperature, logits=LOGITS * 30)) == {4}


def test_top_k_keeps_that_many():
    assert set(draws(temperature=3.0, top_k=2)) == {3, 4}
    assert set(draws(temperature=9.0, top_k=1)) == {4}
    assert set(draws(temperature=9.0, top_k=5_000)) == {0, 1, 2, 3, 4}


def test_top_p_keeps_the_least_set_that_reaches_it():
    assert CHANCES[4] < 0.7 < CHANCES[4] + CHANCES[3]
    assert set(draws(temperature=1.0, top_p=0.7)) == {3, 4}
    assert set(draws(temperature=1.0, top_p=0.5)) == {4}


def test_min_p_is_relative_to_the_likeliest():
    # Neighbours differ by a factor of e = 2.718.
    assert set(draws(temperature=1.0, min_p=0.3)) == {3, 4}
    assert set(draws(temperature=1.0, min_p=0.4)) == {4}
    assert set(draws(temperature=1.0, min_p=0.1)) == {2, 3, 4}


@pytest.mark.parametrize("penalty", [2, 2.0])
def test_the_repetition_penalty_works_on_prompt_and_answer_greedy_too(penalty):
    seen = torch.tensor([4, 3])
    assert draws(1, ids=seen, repetition_penalty=penalty) == [2]  # ties go to the lower id
    assert draws(1, ids=torch.tensor([4]), repetition_penalty=penalty) == [3]
    assert not RowSampler(SamplingParams(repetition_penalty=penalty), 1).plain


def test_a_seed_repeats_and_others_differ():
    params = {"temperature": 1.0}
    assert draws(50, seed=7, **params) == draws(50, seed=7, **params)
    assert draws(50, seed=7, **params) != draws(50, seed=8, **params)


def test_nobody_else_can_move_the_random_numbers():
    sampler = RowSampler(SamplingParams(temperature=1.0), 7)
    mixed = []
    for _ in range(50):
        torch.rand(3)
        mixed.append(sampler.choose(NO_IDS, LOGITS))
    assert mixed == draws(50, seed=7, temperature=1.0)


def test_the_logits_are_not_changed():
    logits = LOGITS.clone()
    draws(
        5,
        temperature=0.5,
        top_k=1,
        top_p=0.5,
        repetition_penalty=3.0,
        ids=torch.tensor([1]),
        logits=logits,
    )
    assert torch.equal(logits, LOGITS)
