"""What every decoding strategy has to keep, whatever it does to the logits."""

import dataclasses
import itertools
import json
import math

import pytest
from rows import EAGER

from memvr_integrations.errors import ConfigError, MemVRError, RequestError, UnsupportedModelError
from memvr_integrations.types.decoding import (
    ContrastiveConfig,
    DoLaConfig,
    FLBConfig,
    ICDConfig,
    RudderConfig,
    VCDConfig,
    YesBiasConfig,
)

# Strong enough to change the answers of a small model that is mostly sure.
STRONG = [
    VCDConfig(alpha=3, beta=0.001, noise_step=900),
    ICDConfig(alpha=3, beta=0.001),
    DoLaConfig(alpha=2, beta=0.001, layers=(1, 2, 4)),
    FLBConfig(alpha=2, rate=0.3, beta=0.001),
    RudderConfig(strength=90, layer=3),
    YesBiasConfig(bias=30),
]
NEUTRAL = [
    VCDConfig(alpha=0, beta=0),
    ICDConfig(alpha=0, beta=0),
    DoLaConfig(alpha=0, beta=0),
    FLBConfig(alpha=0, beta=0),
    RudderConfig(strength=0),
    YesBiasConfig(bias=0),
]
CONTROLS = [
    VCDConfig(control="plausibility"),
    ICDConfig(control="plausibility"),
    DoLaConfig(control="plausibility"),
    FLBConfig(control="plausibility"),
]
named = pytest.mark.parametrize("decoding", STRONG, ids=lambda config: config.name)
# One of each kind: a second run, layers, the first logits, a hook.
kinds = pytest.mark.parametrize(
    "decoding", [STRONG[at] for at in (0, 2, 3, 4)], ids=lambda config: config.name
)


def ids(answer):
    return [token.id for token in answer.tokens]


def same(one, other):
    assert one.text == other.text
    assert ids(one) == ids(other)
    for mine, theirs in zip(one.tokens, other.tokens, strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert mine.trigger_layer == theirs.trigger_layer


@pytest.mark.parametrize("decoding", NEUTRAL, ids=lambda config: config.name)
@pytest.mark.parametrize("memvr", [None, EAGER], ids=["plain", "memvr"])
def test_neutral_settings_are_greedy_bit_for_bit(fresh, ask, endless, decoding, memvr):
    asked = [("Describe the picture.", 0), ("Is there a dog, or perhaps a cow?", 1, 2)]
    with endless(fresh):
        plain, neutral = (
            fresh.generate([ask(*one, max_tokens=4, memvr=memvr, decoding=d) for one in asked])
            for d in (None, decoding)
        )
    assert [answer.tokens for answer in neutral] == [answer.tokens for answer in plain]
    assert all(answer.decoding == decoding for answer in neutral)


@named
def test_rows_equal_themselves_alone(fresh, ask, endless, decoding):
    common = {"decoding": decoding, "max_tokens": 4}
    requests = [
        ask("Describe the picture.", 0, memvr=None, **common),
        ask("Is there a dog in the picture, or a cat, or even a cow?", 1, memvr=EAGER, **common),
        ask("Compare.", 2, 3, memvr=EAGER, **common),
        ask("Hello, who are you?", **common),
        ask("Which?", 5, temperature=1.3, seed=9, memvr=None, **common),
        ask("How many?", 4, memvr=None, decoding=decoding, max_tokens=2),
    ]
    # VCD has nothing to do without a picture, so that such a request keeps other company.
    requests = [one for one in requests if one.images or not decoding.needs_image]
    with endless(fresh):
        together = fresh.generate(requests)
        assert fresh.steps == 3
        alone = [fresh.generate(request)[0] for request in requests]
    for one, other in zip(together, alone, strict=True):
        same(one, other)


@named
def test_it_acts_and_composes_with_memvr(backend, ask, endless, decoding):
    """By probabilities: which tokens come out is the bundled weights' matter."""
    with endless(backend):
        answers = {
            (memvr, config): backend.generate(
                ask("Describe the picture.", 3, memvr=memvr, decoding=config, max_tokens=8)
            )[0]
            for memvr in (None, EAGER)
            for config in (None, decoding)
        }
    chances = {key: [t.logprob for t in answer.tokens] for key, answer in answers.items()}
    assert len({tuple(values) for values in chances.values()}) == 4
    triggered = answers[EAGER, decoding]
    assert triggered.retraced
    assert triggered.memvr == EAGER


@kinds
def test_streams_stop_strings_and_seeds_work_as_ever(backend, ask, endless, decoding):
    request = ask("Describe it.", 1, temperature=1.0, seed=3, max_tokens=9, decoding=decoding)
    with endless(backend):
        [whole] = backend.generate(request)
        chunks = list(backend.stream(request))
        assert "".join(chunk.text for chunk in chunks) == whole.text
        assert chunks[-1].completion.tokens == whole.tokens
        word = whole.text.split()[-1]
        stop = dataclasses.replace(request.sampling, stop=(word,))
        [cut] = backend.generate(dataclasses.replace(request, sampling=stop))
    assert cut.text == whole.text[: whole.text.index(word)]


@kinds
def test_answers_under_a_schema_stay_valid(backend, ask, decoding):
    schema = {
        "type": "object",
        "properties": {"animal": {"enum": ["zebra", "ox"]}, "count": {"type": "integer"}},
        "required": ["animal", "count"],
    }
    strictest = {"beta": 1.0} if hasattr(decoding, "beta") else {}
    decoding = dataclasses.replace(decoding, **strictest)
    for temperature in (0.0, 1.5):
        options = {"max_tokens": 40, "seed": 1, "temperature": temperature}
        [answer] = backend.generate(
            ask("What?", 2, response_format=schema, decoding=decoding, **options)
        )
        assert json.loads(answer.text)["animal"] in ("zebra", "ox")
        assert all(math.isfinite(token.logprob) for token in answer.tokens)


@kinds
def test_several_answers_and_scores(backend, ask, decoding):
    request = ask("Is there a dog?", 2, n=3, temperature=1.0, seed=4, max_tokens=4)
    [answer] = backend.generate(dataclasses.replace(request, decoding=decoding))
    assert len(answer.alternatives) == 2
    scores = backend.score(ask("Is there a dog?", 2, decoding=decoding), ["Yes", "No"])
    assert all(math.isfinite(score) for score in scores)


@pytest.mark.parametrize("decoding", [*STRONG, *CONTROLS], ids=str)
def test_it_costs_as_many_forwards_as_its_documentation_says(backend, ask, endless, decoding):
    with endless(backend) as passes:
        backend.generate(ask("What?", 0, max_tokens=5, memvr=EAGER, decoding=decoding))
    twice = decoding.name in ("vcd", "icd") and decoding in STRONG
    assert passes.forwards == 5 * (2 if twice else 1)


@pytest.mark.parametrize("decoding", CONTROLS, ids=lambda config: config.name)
def test_the_cut_alone_only_matters_to_sampling(backend, ask, endless, decoding):
    sampled = {"temperature": 2.0, "seed": 5, "max_tokens": 12}
    with endless(backend):
        plain, held = (
            [
                ids(backend.generate(ask("Describe it.", 1, decoding=config, **options))[0])
                for options in ({"max_tokens": 12}, sampled)
            ]
            for config in (None, decoding)
        )
    assert plain[0] == held[0]
    assert plain[1] != held[1]


def test_a_strategy_by_name_or_by_its_fields(backend, ask):
    for asked in ("flb", {"name": "flb", "alpha": 0.3}, FLBConfig()):
        [answer] = backend.generate(ask("What?", 0, max_tokens=1, decoding=asked))
        assert answer.decoding == FLBConfig()


def test_rows_of_all_strategies_share_their_steps(fresh, ask, endless):
    kinds = [None, *STRONG, *NEUTRAL, None]
    requests = [ask("What?", 0, max_tokens=4, memvr=EAGER, decoding=kind) for kind in kinds]
    with endless(fresh):
        together = fresh.generate(requests)
        assert fresh.steps == 3
        alone = [fresh.generate(request)[0] for request in requests]
    for one, other in zip(together, alone, strict=True):
        same(one, other)


def test_without_a_picture_there_is_nothing_to_blur(backend, ask, endless):
    with endless(backend) as passes:
        plain, blurred = (
            backend.generate(ask("Who are you?", max_tokens=4, decoding=config))[0]
            for config in (None, "vcd")
        )
    assert passes.forwards == 8
    assert plain.tokens == blurred.tokens
    assert blurred.decoding is None


def test_what_the_model_cannot_do_is_refused_before_the_queue(backend, ask):
    with pytest.raises(ConfigError, match=r"layers=\[3, 99\] reaches beyond"):
        backend.generate(ask("What?", 0, decoding=DoLaConfig(layers=(99, 3))))
    with pytest.raises(MemVRError, match="nowhere"):
        backend.generate(ask("What?", 0, decoding=ContrastiveConfig(student="./nowhere")))
    assert backend.generate(ask("What?", 0, max_tokens=1))


def test_a_model_without_a_yes_has_no_yes_bias(backend, ask, monkeypatch):
    monkeypatch.setattr(backend._host, "spellings", lambda word: [(5,)])
    with pytest.raises(UnsupportedModelError, match="No token of bundled says yes"):
        backend.generate(ask("What?", 0, decoding="yes-bias"))


def test_a_long_disturbance_takes_room_from_the_answer(backend, ask, endless):
    with endless(backend):
        [answer] = backend.generate(
            ask("dog " * 2010, max_tokens=500, decoding=ICDConfig(disturbance="Be confused."))
        )
        assert answer.finish_reason == "length"
        assert answer.usage.total_tokens < 2048
        with pytest.raises(RequestError, match="reads at most"):
            backend.generate(ask("dog " * 2010, decoding=ICDConfig(disturbance="no " * 99)))


def test_rows_whose_step_failed_go_on_from_the_given_tokens(fresh, ask, endless):
    requests = [ask("Describe.", n, max_tokens=6, decoding=STRONG[0]) for n in (0, 1)]
    with endless(fresh) as passes:
        expected = fresh.generate(requests)
        count = itertools.count()

        def fail_once(rows):
            if next(count) == 5:
                raise ValueError("in the third token")

        passes.before = fail_once
        again = fresh.generate(requests)
    assert [ids(answer) for answer in again] == [ids(answer) for answer in expected]


def test_yes_bias_raises_yes_at_the_first_token_alone(backend, ask, ids_of):
    [answer] = backend.generate(
        ask("Describe the picture.", 0, max_tokens=5, decoding=YesBiasConfig(bias=100))
    )
    assert answer.tokens[0].text.strip() in ("Yes", "yes", "YES")
    assert all(token.text.strip().lower() != "yes" for token in answer.tokens[1:])


def test_the_own_entropy_stays_the_models(backend, ask):
    plain, cut = (
        backend.generate(ask("Describe it.", 0, max_tokens=1, decoding=config))[0]
        for config in (None, VCDConfig(beta=1.0))
    )
    assert cut.tokens[0].output_entropy == plain.tokens[0].output_entropy
    assert cut.tokens[0].logprob == pytest.approx(0, abs=1e-6)
