"""One row's next token: greedy, filtered, sampled, repeatable."""

from collections import Counter

import pytest
import torch

from memvr_integrations.backend.decoding.sampling import RowSampler, top_tokens
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


def choice(*, prompt=(), answer=(), allowed=None, **params):
    ids = torch.tensor(prompt, dtype=torch.long)
    sampler = RowSampler(SamplingParams(**params), 1)
    return sampler.choose(ids, LOGITS, allowed, answer=answer)


def test_the_frequency_penalty_counts_each_time_and_the_presence_penalty_once():
    """Token 4 leads by 1 on token 3."""
    assert choice(answer=[4], frequency_penalty=0.6) == 4  # 3.4 against 3
    assert choice(answer=[4, 4], frequency_penalty=0.6) == 3  # 2.8
    assert choice(answer=[4, 4, 4], presence_penalty=0.9) == 4  # 3.1
    assert choice(answer=[4], presence_penalty=1.1) == 3  # 2.9
    assert choice(answer=[4], presence_penalty=0.6, frequency_penalty=0.5) == 3  # 2.9
    assert choice(answer=[1, 1], frequency_penalty=-2) == 1  # 5 against 4
    assert choice(answer=[2], presence_penalty=-1.9) == 4  # 3.9


def test_both_count_the_answer_alone():
    assert choice(prompt=[4, 4, 4], frequency_penalty=2, presence_penalty=2) == 4
    assert choice(prompt=[4], answer=[4], repetition_penalty=2) == 3
    assert choice(prompt=[3], answer=[4], frequency_penalty=1.5) == 3


def test_penalties_and_bias_are_applied_in_vllms_order():
    # 4 / 2 + 1.5 = 3.5; the other way round it would be 2.75, less than the 3 of token 3.
    assert choice(answer=[4], repetition_penalty=2, presence_penalty=-1.5) == 4
    # (4 + 1.5) / 2 = 2.75; the other way round 3.5.
    assert choice(answer=[4], repetition_penalty=2, logit_bias={4: 1.5}) == 3


def test_a_bias_is_added_before_the_temperature():
    counts = Counter(draws(3000, temperature=0.5, logit_bias={0: 4}))
    # Tokens 0 and 4 are equal now: e^8 of e^8 + e^8 + e^6 + e^4 + e^2.
    assert counts[0] / 3000 == pytest.approx(0.461, abs=0.04)
    assert counts[4] / 3000 == pytest.approx(0.461, abs=0.04)


@pytest.mark.parametrize("temperature", [0, 1.0, 5.0])
def test_a_bias_of_a_hundred_bans_or_forces(temperature):
    assert 4 not in draws(logit_bias={4: -100}, temperature=temperature)
    assert set(draws(50, logit_bias={1: 100}, temperature=temperature)) == {1}


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_what_a_grammar_allows_comes_before_bias_and_penalties(temperature):
    only = torch.tensor([False, True, False, False, False])
    options = {"logit_bias": {1: -100, 4: 100}, "frequency_penalty": 2.0}
    assert choice(answer=[1, 1], allowed=only, temperature=temperature, **options) == 1


@pytest.mark.parametrize(
    "options", [{"logit_bias": {1: 1}}, {"presence_penalty": 1}, {"frequency_penalty": -1}]
)
def test_a_row_with_bias_or_penalties_is_not_plain(options):
    assert not RowSampler(SamplingParams(**options), 1).plain
    assert RowSampler(SamplingParams(logit_bias={}, presence_penalty=0), 1).plain


def test_the_likeliest_tokens_of_each_row_that_wants_them():
    scores = torch.stack([LOGITS, LOGITS.flip(0), LOGITS])
    first, second, none = top_tokens(scores, [2, 3, 0])
    assert top_tokens(scores, [0, 0, 0]) == [(), (), ()]
    assert [one.id for one in first] == [4, 3]
    assert [one.id for one in second] == [0, 1, 2]
    assert none == ()
    logs = [float(CHANCES[token].log()) for token in (4, 3, 2)]
    assert [one.logprob for one in first] == pytest.approx(logs[:2])
    assert [one.logprob for one in second] == pytest.approx(logs)


def test_there_are_no_more_likely_tokens_than_there_are():
    assert len(top_tokens(LOGITS[None], [20])[0]) == 5
    # A strategy rules tokens out.
    [left] = top_tokens(torch.tensor([[0.0, -torch.inf, 0.0, -torch.inf]]), [4])
    assert sorted(one.id for one in left) == [0, 2]
    assert [one.logprob for one in left] == pytest.approx([-0.6931, -0.6931], abs=1e-4)
