"""OPERA against its formula, and what it refuses."""

import dataclasses
import json
import math
from collections import Counter

import decoding_reference as reference
import pytest
import torch

from memvr_integrations.backend import Backend
from memvr_integrations.backend.decoding.strategies import opera
from memvr_integrations.backend.decoding.strategies.opera import over_trust
from memvr_integrations.errors import RequestError, UnsupportedModelError
from memvr_integrations.types.decoding import OPERAConfig

PLAIN = OPERAConfig(beams=1, candidates=1, weight=0)


@pytest.fixture(scope="module")
def eager(halve):
    return halve(attention="eager")


@pytest.fixture(scope="module")
def image_token(eager):
    return eager.model.config.image_token_id


def ids(answer):
    return [token.id for token in answer.tokens]


def most_common(values):
    """As torch has it: the smallest of those that come most often."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


class Transcribed:
    """The search once more, one beam and one candidate at a time, without a cache."""

    def __init__(self, reader, config, image_token, early):
        self.reader, self.config, self.early = reader, config, early
        prompt = reader.inputs["input_ids"][0]
        self.image, self.start = (prompt == image_token).nonzero()[:, 0], len(prompt)
        self.rolled, self.runs = [], {}

    def run_once(self, ids):
        """Where a candidate was read it becomes a beam; logits and the last layer's attention."""
        if tuple(ids) not in self.runs:
            out = self.reader.run(ids, output_attentions=True)
            self.runs[tuple(ids)] = out.logits[0, -1].float(), out.attentions[-1][0, :, -1]
        return self.runs[tuple(ids)]

    def attention(self, ids):
        """The newest token's row: to the answer's tokens, and how much of it to the image."""
        row = self.run_once(ids)[1].max(0).values
        row = (row / row.sum()).double()
        return row[self.start :].tolist(), float(row[self.image].sum())

    def candidates(self, beam):
        logits, _ = self.run_once(beam["ids"])
        logprobs, found, places = reference.log_softmax(logits), [], []
        for token in logits.topk(self.config.candidates).indices.tolist():
            row, seen = self.attention([*beam["ids"], token])
            rows = [*beam["rows"], row]
            products = [
                1e-7 * math.prod(self.config.sigma * rows[i][j] for i in range(j, len(rows)))
                for j in range(len(rows))
            ]
            penalty = -seen if len(rows) <= self.early else max(products)
            places.append(products.index(max(products)))
            logprob = float(logprobs[token])
            found.append(
                {
                    "ids": [*beam["ids"], token],
                    "rows": rows,
                    "logprobs": [*beam["logprobs"], logprob],
                    "score": beam["score"] + logprob - self.config.weight * penalty,
                }
            )
        place = most_common(places)
        for one in found:
            one["places"] = [*beam["places"], place]
        return found

    def run(self, tokens):
        beams = [{"ids": [], "rows": [], "logprobs": [], "score": 0.0, "places": []}]
        past, times = {}, Counter()
        while len(beams[0]["ids"]) < tokens:
            found = [one for beam in beams for one in self.candidates(beam)]
            found.sort(key=lambda one: -one["score"])
            length = len(beams[0]["ids"])
            by_beam = {tuple(one["ids"][:-1]): one["places"] for one in found}.values()
            place = most_common([places[-1] for places in by_beam])
            recurs = all(places.count(place) > self.config.threshold for places in by_beam)
            for back in (place + 1, place):
                usable = back in past and len(past[back]) >= 2 * self.config.beams
                if (
                    recurs
                    and place >= self.early
                    and usable
                    and times[back] < self.config.candidates
                ):
                    times[back] += 1
                    self.rolled.append((length, back))
                    length, found = back, past[back][self.config.beams :]
                    past = {at: kept for at, kept in past.items() if at <= back}
                    break
            past[length] = found
            beams = found[: self.config.beams]
        return beams[0]


def compare(
    backend,
    eager,
    image_token,
    ask,
    scenes,
    endless,
    config,
    tokens,
    early,
    about=("Describe it.", 3),
):
    with endless(backend):
        [answer] = backend.generate(ask(*about, max_tokens=tokens, memvr=None, decoding=config))
    reader = reference.read(eager, scenes, *about)
    search = Transcribed(reader, config, image_token, early)
    best = search.run(tokens)
    reference.same(answer, best["ids"], best["logprobs"])
    return search, answer


@pytest.mark.parametrize(
    "config",
    [
        OPERAConfig(beams=3, candidates=2, weight=0),
        OPERAConfig(beams=2, candidates=2, weight=5),
        OPERAConfig(beams=2, candidates=3, weight=1e5, sigma=80),
    ],
)
def test_it_is_its_formula(backend, eager, image_token, ask, scenes, endless, monkeypatch, config):
    """The penalty is another one from some token on: the tenth, here the second."""
    assert opera._EARLY == 10
    monkeypatch.setattr(opera, "_EARLY", 2)
    compare(backend, eager, image_token, ask, scenes, endless, config, tokens=4, early=2)


def test_it_rolls_back(backend, eager, image_token, ask, scenes, endless, monkeypatch):
    """To earlier tokens than published, because a small model trusts those."""
    monkeypatch.setattr(opera, "_EARLY", 1)
    config = OPERAConfig(beams=2, candidates=2, weight=1, threshold=1)
    about = ("List everything.", 2)  # each thing of a list leans on the one before it
    search, _ = compare(
        backend, eager, image_token, ask, scenes, endless, config, 6, early=1, about=about
    )
    assert search.rolled


def test_over_trust_is_a_product_down_a_column():
    random = torch.Generator().manual_seed(0)
    before = torch.rand(2, 4, 4, generator=random).tril()
    newest = torch.rand(2, 3, 5, generator=random)
    trust, places = over_trust(before, newest, 3.0)
    for beam in range(2):
        for candidate in range(3):
            products = []
            for j in range(5):
                above = before[beam, j:, j].tolist() if j < 4 else []
                column = [*above, float(newest[beam, candidate, j])]
                products.append(1e-7 * math.prod(3.0 * value for value in column))
            assert float(trust[beam, candidate]) == pytest.approx(max(products), rel=1e-5)
            assert int(places[beam, candidate]) == products.index(max(products))


@pytest.mark.parametrize("numbers", [(0,), (1, 2), ()])
@pytest.mark.parametrize("ending", [True, False])
def test_neutral_settings_are_greedy_bit_for_bit(backend, ask, endless, numbers, ending):
    def answers():
        return [
            backend.generate(
                ask("Is there a dog?", *numbers, max_tokens=9, memvr=None, decoding=decoding)
            )[0]
            for decoding in (None, PLAIN)
        ]

    if ending:
        plain, neutral = answers()
    else:
        with endless(backend):
            plain, neutral = answers()
    assert dataclasses.replace(neutral, decoding=None) == plain
    assert neutral.decoding == PLAIN


def test_answers_end(backend, ask):
    [answer] = backend.generate(ask("Is there a dog?", 2, memvr=None, decoding="opera"))
    assert answer.finish_reason == "stop"
    assert answer.text
    assert json.dumps(answer.decoding.to_dict())


def test_stop_strings_cut(backend, ask, endless):
    request = ask("Describe it.", 1, max_tokens=8, memvr=None, decoding=OPERAConfig(beams=2))
    with endless(backend):
        [whole] = backend.generate(request)
        word = whole.text.split()[-1]
        stop = dataclasses.replace(request.sampling, stop=(word,))
        [cut] = backend.generate(dataclasses.replace(request, sampling=stop))
    assert cut.text == whole.text[: whole.text.index(word)]


def test_stop_tokens_end_a_beam_as_end_tokens_do(backend, ask, endless):
    request = ask("Describe it.", 1, max_tokens=8, memvr=None, decoding=OPERAConfig(beams=2))
    with endless(backend):
        [whole] = backend.generate(request)
        last = whole.tokens[-1].id
        stop = dataclasses.replace(request.sampling, stop_token_ids=[last])
        [cut] = backend.generate(dataclasses.replace(request, sampling=stop))
    ids = [token.id for token in cut.tokens]
    assert (ids[-1], ids.count(last), cut.finish_reason) == (last, 1, "stop")
    assert cut.tokens[-1].text == ""


def test_where_every_token_is_a_stop_token_nothing_more_is_searched(backend, ask, endless):
    config = OPERAConfig(beams=2, candidates=2)
    every = range(backend._host.vocabulary)
    with endless(backend) as passes:
        [done] = backend.generate(
            ask("What?", 1, max_tokens=8, memvr=None, decoding=config, stop_token_ids=every)
        )
    assert (len(done.tokens), done.finish_reason) == (1, "stop")
    assert passes.forwards == 1 + config.candidates


def test_requests_are_searched_one_after_the_other(make_backend, ask, endless):
    backend = make_backend()
    config = OPERAConfig(beams=3, candidates=2)
    asked = [ask("What?", n, max_tokens=4, memvr=None, decoding=config) for n in (0, 1)]
    with endless(backend) as passes:
        together = backend.generate(asked)
        assert backend.steps == 2 * 4
        assert passes.forwards == 2 * 4 * (1 + 2)
        assert set(passes.rows) == {3}
        assert together == [backend.generate(one)[0] for one in asked]


def test_the_model_is_left_as_it_was(backend, ask):
    attention = backend._host.model.model.language_model.layers[-1].self_attn
    before = attention.config
    backend.generate(ask("What?", 0, max_tokens=1, memvr=None, decoding="opera"))
    while backend.busy:
        pass
    assert attention.config is before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n": 2}, "n=2"),
        ({"temperature": 0.5}, r"temperature=0\.5"),
        ({"repetition_penalty": 1.2}, r"repetition_penalty=1\.2"),
        ({"presence_penalty": 0.5}, r"presence_penalty=0\.5"),
        ({"frequency_penalty": 0.5}, r"frequency_penalty=0\.5"),
        ({"logit_bias": {5: 1}}, "does not go with logit_bias"),
        ({"min_tokens": 2}, "min_tokens=2"),
        ({"top_logprobs": 2}, "top_logprobs=2"),
        ({"response_format": {"type": "object"}}, "a schema"),
        ({"memvr": True}, "memvr=None leaves it out"),
    ],
)
def test_what_it_does_not_go_with_is_refused(backend, ask, options, match):
    with pytest.raises(RequestError, match=match):
        backend.generate(ask("What?", 0, decoding="opera", **{"memvr": None} | options))


async def test_it_neither_streams_nor_scores(backend, ask):
    request = ask("What?", 0, memvr=None, decoding="opera")
    with pytest.raises(RequestError, match="nothing to stream"):
        next(backend.stream(request))
    with pytest.raises(RequestError, match="nothing to stream"):
        await anext(backend.astream(request))
    with pytest.raises(RequestError, match="the score of a given answer"):
        backend.score(request, ["Yes"])


def test_a_cache_that_forgets_is_refused(tmp_path, scenes):
    from families import FAMILIES

    from memvr_integrations.backend import Request

    folder = FAMILIES["gemma3"].save("gemma3", tmp_path)
    with Backend.load(folder, device="cpu", progress=False) as forgetful:
        request = Request.ask("Who?", scenes[0].pixels, memvr=None, decoding="opera")
        with pytest.raises(UnsupportedModelError, match="can't take tokens back"):
            forgetful.generate(request)
