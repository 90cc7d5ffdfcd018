import json
from dataclasses import replace

import pytest

from memvr_integrations.errors import RequestError
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Completion, TokenRecord, TopToken, Usage
from memvr_integrations.wire.report import answered, logprobs, record

TOKENS = (
    TokenRecord(
        id=1,
        text="Ein",
        logprob=-0.5,
        entropy=0.8,
        trigger_layer=6,
        output_entropy=0.2,
        entropies={5: 0.3, 6: 0.8},
        top=(TopToken(id=1, text="Ein", logprob=-0.5), TopToken(id=9, text="é", logprob=-1.5)),
    ),
    TokenRecord(id=2, text=" Käse", logprob=-1.0, entropy=0.6, trigger_layer=6, output_entropy=0.4),
    TokenRecord(id=3, text=".", logprob=-0.1, output_entropy=0.9),
)


def done(tokens, memvr=None):
    usage = Usage(prompt_tokens=70, image_tokens=64, completion_tokens=len(tokens))
    return Completion(
        text="", finish_reason="stop", usage=usage, tokens=tokens, model="m", memvr=memvr
    )


def test_what_happened_is_counted():
    config = MemVRConfig()
    found = record(done(TOKENS, config), logprobs=True)
    assert json.loads(json.dumps(found)) == found
    assert found.pop("config")["retracing_ratio"] == config.retracing_ratio
    assert found == {
        "decoding": None,
        "retraced_tokens": 2,
        "layers": {"6": 2},
        "prompt_tokens": 70,
        "image_tokens": 64,
        "unsureness": 0.4,
        "boxes": [],
        "explain": "explain(messages, answer=answer)",
        "mean_entropy": 0.7,
        "max_entropy": 0.8,
        "mean_output_entropy": 0.5,
        "max_output_entropy": 0.9,
    }


def test_nothing_happened_and_the_keys_are_the_same():
    found = record(done(()), logprobs=False)
    assert found.keys() == record(done(TOKENS), logprobs=True).keys()
    assert found["config"] is found["max_entropy"] is None
    assert found["retraced_tokens"] == found["unsureness"] == 0


def test_tokens_have_openais_shape():
    [first, second, third] = logprobs(TOKENS)
    assert (first["token"], first["id"], first["entropies"]) == ("Ein", 1, {"5": 0.3, "6": 0.8})
    assert bytes(second["bytes"]).decode() == " Käse"
    assert second["top_logprobs"] == []
    assert first["top_logprobs"] == [
        {"token": "Ein", "logprob": -0.5, "bytes": [69, 105, 110]},
        {"token": "é", "logprob": -1.5, "bytes": [195, 169]},
    ]
    assert (third["logprob"], third["trigger_layer"], third["output_entropy"]) == (-0.1, None, 0.9)


def kept(completion, **changed):
    """An answer as a framework keeps it: written as JSON, and read."""
    known = {
        "model": completion.model,
        "record": record(completion, logprobs=True),
        "tokens": logprobs(completion.tokens),
    }
    return json.loads(json.dumps(known | changed))


def test_an_answer_is_read_back_as_far_as_it_can_be_explained():
    given = done(TOKENS, MemVRConfig(retracing_ratio=0.3))
    again = answered("Ein Käse.", **kept(given))
    assert (again.text, again.model, again.memvr) == ("Ein Käse.", "m", given.memvr)
    assert again.usage == given.usage
    for one, other in zip(again.tokens, TOKENS, strict=True):
        assert (one.id, one.text, one.logprob) == (other.id, other.text, other.logprob)
        assert (one.entropy, one.output_entropy) == (other.entropy, other.output_entropy)
        assert (one.trigger_layer, one.entropies) == (other.trigger_layer, other.entropies)
    assert answered("", **kept(done(TOKENS))).memvr is None


def test_what_was_withheld_is_what_the_model_said():
    form = kept(done(TOKENS))
    form["record"]["withheld"] = "Ein Käse."
    assert answered("I can't tell.", **form).text == "Ein Käse."


def test_an_explanation_is_offered_where_there_can_be_one():
    blind = Usage(prompt_tokens=6, image_tokens=0, completion_tokens=3)
    assert record(done(TOKENS), logprobs=False)["explain"] is None
    assert record(replace(done(TOKENS), usage=blind), logprobs=True)["explain"] is None


@pytest.mark.parametrize("tokens", [None, []])
def test_an_answer_without_tokens_is_refused(tokens):
    with pytest.raises(RequestError, match="logprobs=True"):
        answered("Yes", **kept(done(TOKENS), tokens=tokens))


@pytest.mark.parametrize("record", [None, {}, "no"])
def test_an_answer_of_others_is_refused(record):
    with pytest.raises(RequestError, match="'Yes' has no record"):
        answered("Yes", **kept(done(TOKENS), record=record))
