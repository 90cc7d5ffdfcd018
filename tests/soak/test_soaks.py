"""A small run of each soak, and that what they check can fail."""

import json
import threading
from collections import Counter, defaultdict
from dataclasses import replace

import broken_numbers
import callers
import page
import pytest
from asks import Ask, Asks, Material
from broken_models import BREAKS
from calling import Heard, Pieces
from crowd import Crowd
from doors import Given, Question
from flatness import FEW, LIMIT, Held, growth
from judging import faults
from outcome import Found, outcome_of
from scripted_engine import ScriptedEngine
from worlds import noise

from memvr_integrations.backend import FLBConfig, Request, SamplingParams, ToolCall
from memvr_integrations.errors import GenerationError, RequestError, RequestTimeoutError

ASKED = Request.ask("What is it?", sampling=SamplingParams(max_tokens=9))


def asked(number=0, way="generate", **more):
    return Ask(number=number, request=more.pop("request", ASKED), way=way, **more)


@pytest.fixture
def alone():
    return Heard(whole=ScriptedEngine().generate(ASKED)[0])


def beside(heard, alone, **more):
    return " ".join(faults(asked(**more), heard, alone))


# -- many callers


def test_mixed_callers_are_answered_as_if_alone_and_a_state_goes_on(tmp_path):
    state = tmp_path / "state"
    options = {"model": "tiny", "state": str(state), "callers": 8}
    first = callers.soak(count=4, compared=0.0, **options)
    assert not first.wrong
    with state.open("a") as torn:
        torn.write('{"number": 4, "wro')
    found = callers.soak(count=12, **options)
    assert not found.wrong
    assert found.figures["requests"] == 12
    assert found.figures["compared with the same request alone"] == 8
    assert found.of == "tiny"
    with pytest.raises(SystemExit, match="is the state of tiny, seed 0, not of tiny, seed 1"):
        callers.soak(count=30, seed=1, **options)


def test_a_request_is_the_same_whatever_was_made_before():
    material = Material(pictures=noise(3), most=5, context=99, memvr=(), student="x")
    again = Asks(3, material)
    asks = [again(number) for number in range(40)]
    assert repr(Asks(3, material)(31)) == repr(asks[31])
    assert len(set(map(repr, asks))) == 40
    assert repr(Asks(4, material)(31)) != repr(asks[31])


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"text": "Otherwise."}, "has text='Otherwise.'"),
        ({"finish_reason": "length"}, "finish_reason='length'"),
        ({"tool_calls": (ToolCall(id="1", name="a", arguments="{}"),)}, r"calls [('a', '{}')]"),
        ({"tokens": ()}, "has 0 tokens, alone 6"),
        ({"alternatives": ("one",)}, "2 answers came for n=1"),
    ],
)
def test_another_answer_is_seen(alone, change, wrong):
    change = {k: (alone.whole,) if k == "alternatives" else v for k, v in change.items()}
    assert wrong in beside(Heard(whole=replace(alone.whole, **change)), alone)
    assert not beside(Heard(whole=alone.whole), alone)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"id": 99}, True),
        ({"trigger_layer": 3}, True),
        ({"logprob": -0.1002}, True),
        ({"logprob": -0.10005}, False),
    ],
)
def test_another_token_is_seen(alone, change, seen):
    first, *rest = alone.whole.tokens
    other = replace(alone.whole, tokens=(replace(first, **change), *rest))
    assert ("token 0" in beside(Heard(whole=other), alone)) == seen


def test_pieces_that_do_not_add_up_are_seen(alone):
    ids = [token.id for token in alone.whole.tokens]
    whole = Pieces(text=alone.whole.text, ids=ids, whole=alone.whole)
    for pieces, wrong in (
        (whole, ""),
        (replace(whole, text=whole.text[:-1]), "streamed"),
        (replace(whole, ids=ids[1:]), "other tokens"),
        (replace(whole, calls={0: ("a", "{}")}), "other calls"),
    ):
        heard = Heard(pieces=defaultdict(Pieces, {0: pieces}))
        assert wrong in beside(heard, alone, way="stream")
        assert bool(wrong) == bool(beside(heard, alone, way="stream"))


@pytest.mark.parametrize(
    ("pieces", "right"),
    [
        (Pieces(text="This is", ids=[0, 1]), True),
        (Pieces(text="That is", ids=[0, 1]), False),
        (Pieces(text="This is", ids=[0, 2]), False),
        (Pieces(calls={0: ("a", "")}), False),
    ],
)
def test_what_was_left_is_the_beginning_of_the_whole(alone, pieces, right):
    heard = Heard(left=True, pieces=defaultdict(Pieces, {0: pieces}))
    assert bool(beside(heard, alone, way="stream", leaving="closed")) != right


def test_other_ends_than_alone_are_seen(alone):
    refused = Heard(error=RequestError("no"))
    assert "ended as answered" in beside(Heard(whole=alone.whole), refused)
    assert "ended with RequestError('no')" in beside(refused, alone)
    assert "'yes'" in beside(Heard(error=RequestError("yes")), refused)
    assert not beside(Heard(error=RequestError("no")), refused)
    assert "as if its caller had left" in beside(Heard(left=True), alone)
    assert "without a time-out" in beside(Heard(error=RequestTimeoutError("late")), alone)
    hurried = replace(ASKED, timeout=1e-4)
    assert "answered within" in beside(
        Heard(whole=alone.whole), alone, request=hurried, hurried=True
    )
    assert "it broke: ouch" in beside(Heard(broken="ouch"), alone)


class Leaky(ScriptedEngine):
    """Its answers are about what somebody else asked."""

    def generate(self, requests):
        return super().generate(replace(requests, messages=requests.messages * 2))


def test_rows_that_leak_are_seen():
    asks = [asked(number) for number in range(4)]
    heard = Crowd(Leaky(), callers=2, deadline=60).serve(asks)
    single = Crowd(ScriptedEngine(), callers=1, deadline=60).serve(asks)
    for ask in asks:
        assert "usage" in " ".join(faults(ask, heard[ask.number], single[ask.number]))
        assert not faults(ask, single[ask.number], single[ask.number])


@pytest.mark.parametrize("way", ["generate", "agenerate"])
@pytest.mark.parametrize("spin", [False, True])
def test_who_hears_nothing_hangs(way, spin):
    go_on = threading.Event()

    class Deaf(ScriptedEngine):
        def generate(self, requests):
            while not go_on.wait(0 if spin else 60):
                pass
            return super().generate(requests)

    crowd = Crowd(Deaf(), callers=2, deadline=0.1)
    assert crowd.serve([asked(3, way)]) == {}
    assert "request 3 heard nothing for 0.1 s" in crowd.hung[0]
    go_on.set()


def test_growth_and_what_is_left_over_are_seen(tmp_path):
    assert growth([1] * (FEW - 1)) is None
    warm, last = growth([10, *[100] * 40, *[103] * 10])
    assert (warm, last) == (100, 103)
    assert last / warm - 1 > LIMIT
    before, go_on = Held.now(), threading.Event()
    thread = threading.Thread(target=go_on.wait, args=(60,), name="mine", daemon=True)
    with (tmp_path / "file").open("w"):
        go_on.set()
        assert before.left_over(seconds=0) == ["1 file(s) are left open"]
    go_on.clear()
    thread.start()
    assert before.left_over(seconds=0) == ["the thread 'mine' is left over"]
    go_on.set()
    assert not before.left_over()


def test_a_soak_in_which_memory_grows_is_wrong(tmp_path):
    diary = callers.Diary(of="tiny, seed 0", file=tmp_path / "state")
    for number in range(2 * FEW):
        held = 2**20 * (100 + number)
        memory = {"resident": held, "asked": held, "blocks": 1000}
        line = {"run": 1, "memory": memory, "wrong": []}
        diary.write(line)
        diary.write(
            {
                "number": number,
                "end": "answered",
                "left by": "",
                "triggers": 1,
                "strategy": "",
                "compared": True,
                "wrong": [],
            }
        )
    [sentence] = diary.found("tiny").wrong
    assert "asked for and not given back grew by" in sentence


def test_an_answer_on_a_strategys_cut_is_found_there(alone):
    config = FLBConfig(beta=0.1)
    request = replace(ASKED, decoding=config)
    other = replace(alone.whole.tokens[0], logprob=-3.0)
    cut = replace(alone.whole, tokens=(other, *alone.whole.tokens[1:]), decoding=config)

    class Single:
        def serve(self, asks):
            [ask] = asks
            beyond = ask.request.decoding.beta > 0.1
            answer = replace(cut if beyond else alone.whole, decoding=ask.request.decoding)
            return {ask.number: Heard(whole=answer)}

    heard = Heard(whole=cut)
    found = callers._at_a_cut(Single(), asked(request=request), heard)
    assert found.whole.decoding == config
    assert found.whole.tokens[0].logprob == -3.0
    wrong = Heard(whole=replace(cut, text="Another."))
    assert callers._at_a_cut(Single(), asked(request=request), wrong) is None
    assert callers._at_a_cut(Single(), asked(), heard) is None


# -- broken numbers


def test_a_model_that_ends_at_once_is_answered_and_warned_of():
    found = broken_numbers.soak(only="ends at once", asked="greedy")
    assert not found.wrong
    assert found.figures["answers that are empty, with a warning"] == 12


@pytest.mark.parametrize(
    ("damages", "heard", "wrong"),
    [
        (True, broken_numbers.Heard(given=[Given(text="a", finish_reason="stop")]), "is damaged"),
        (True, broken_numbers.Heard(error=GenerationError("It failed.")), "is damaged"),
        (True, broken_numbers.Heard(error=GenerationError("NaN: float32?")), ""),
        (False, broken_numbers.Heard(error=GenerationError("NaN: float32?")), "it ended with"),
        (False, broken_numbers.Heard(error=TimeoutError("nothing came")), "it broke"),
        (False, broken_numbers.Heard(given=[Given(text="", finish_reason="stop")]), "a warning"),
        (False, broken_numbers.Heard(given=[Given(text="a", finish_reason=None)]), "reason=None"),
        (
            False,
            broken_numbers.Heard(
                given=[Given(text="a", finish_reason="stop", logprobs=[float("nan")])]
            ),
            "NaN",
        ),
        (False, broken_numbers.Heard(given=[Given(text="a", finish_reason="stop")]), ""),
    ],
)
def test_garbage_and_silence_are_seen(damages, heard, wrong):
    one = next(one for one in BREAKS if one.damages == damages)
    question = Question(name="greedy", request=ASKED)
    found = list(broken_numbers.faults(one, question, heard, Counter()))
    assert wrong in " ".join(found)
    assert bool(found) == bool(wrong)


def test_what_fits_no_schema_is_seen():
    schema = Question(name="schema", request=replace(ASKED, response_format={"type": "object"}))
    right = Given(text='{"colour": "red", "sure": true}', finish_reason="stop")
    assert not schema.wrong_with(right)
    assert "does not fit" in schema.wrong_with(replace(right, text='{"colour": 3}'))
    assert "does not fit" in schema.wrong_with(replace(right, text='{"colour'))


# -- the page


def test_the_page_is_what_the_soaks_found():
    assert page.PAGE.read_text() == page.page(), "run `python tests/soak page`"


def test_an_outcome_is_kept_and_read_again(tmp_path):
    wrong = tuple(f"wrong {number}" for number in range(30))
    found = Found(figures={"calls": 3}, wrong=wrong, of="tiny", seconds=9)
    kept = outcome_of("callers", "Many.", "python tests/soak callers", lambda: found)
    assert (kept.name, kept.seconds) == ("callers-tiny", 9)
    assert "| calls | 3 |" in kept.table()
    assert kept.table().count("- wrong") == 20
    assert "- and 10 more" in kept.table()
    assert json.loads(kept.save(tmp_path).read_text())["figures"] == {"calls": 3}


# -- all of it


@pytest.mark.soak
@pytest.mark.parametrize(
    ("soak", "options"),
    [
        (callers.soak, {"count": 1000}),
        (callers.soak, {"count": 10_000, "model": "tiny"}),
        (broken_numbers.soak, {}),
        (broken_numbers.soak, {"family": "qwen3_vl_moe"}),
    ],
    ids=str,
)
def test_nothing_is_wrong_in_full(soak, options):
    assert not soak(**options).wrong
